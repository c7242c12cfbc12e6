import t from 'tap'
import { pauseBeforeNextLook } from '../../lib/backend/look-pause.ts'

t.test('a look is late by a twentieth of what the start took, within bounds', async (t) => {
  t.same([0, 400, 1_000, 4_000, 10_000, 60_000].map(pauseBeforeNextLook), [25, 25, 50, 200, 500, 500])
})
