import t from 'tap'
import { imageNotFound } from '../../../lib/backend/docker/image-not-found.ts'
import { defaultImage } from '../../../lib/config.ts'

t.test('our own image is built, another is pulled where its name says from where', async (t) => {
  t.match(imageNotFound(defaultImage), { code: 'IMAGE_NOT_FOUND', message: /: slotpool image build$/, details: { image: defaultImage } })
  t.match(imageNotFound('h.example/mine:2'), {
    code: 'IMAGE_NOT_FOUND',
    message: /got image h.example\/mine:2, .*: docker pull h.example\/mine:2$/,
  })
  t.match(imageNotFound('No Reference'), { code: 'IMAGE_NOT_FOUND' })
  t.match(imageNotFound('mine:2'), { message: /a name that says its registry .*: slotpool image build --tag mine:2$/ })
})
