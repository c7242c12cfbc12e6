import t from 'tap'
import { Cleanup } from '../../bench/cleanup.ts'

t.test('everything is undone once, last made first, whatever fails on the way', async (t) => {
  const done: string[] = []
  const cleanup = new Cleanup()
  cleanup.add('end the first', () => done.push('first'))
  cleanup.add('end the second', () => {
    throw new Error('stuck')
  })
  const part = cleanup.part('end a part')
  part.add('end the third', async () => done.push('third'))
  const endFourth = cleanup.add('end the fourth', () => done.push('fourth'))
  await endFourth()
  await endFourth()
  const failures = await cleanup.run()
  t.same(
    failures.map(({ message }) => message),
    ['could not end the second: stuck'],
  )
  t.same(done, ['fourth', 'third', 'first'])
  t.equal(await cleanup.run(), failures)
  t.throws(() => cleanup.add('end the fifth', () => {}), { message: 'nobody would end the fifth any more' })
  t.throws(() => part.add('end the sixth', () => {}), { message: 'nobody would end the sixth any more' })
})
