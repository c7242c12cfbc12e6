import t from 'tap'
import { imageNotFound } from '../../../lib/backend/docker/image-not-found.ts'
import { defaultImage } from '../../../lib/config.ts'

t.test('our own image is built, another is pulled', async (t) => {
  t.match(imageNotFound(defaultImage), { code: 'IMAGE_NOT_FOUND', message: /: slotpool image build$/, details: { image: defaultImage } })
  t.match(imageNotFound('mine:2'), { code: 'IMAGE_NOT_FOUND', message: /got image mine:2, .*: docker pull mine:2$/ })
})
