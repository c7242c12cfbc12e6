import { Readable } from 'node:stream'
import t from 'tap'
import { BuildFollower, type BuildProgress, buildMessages } from '../../../lib/backend/docker/build-events.ts'

async function follow(chunks: (string | Buffer)[]): Promise<{ follower: BuildFollower; progress: BuildProgress[] }> {
  const progress: BuildProgress[] = []
  const follower = new BuildFollower((one) => progress.push(one))
  for await (const message of buildMessages(Readable.from(chunks))) follower.take(message)
  return { follower, progress }
}

t.test('steps, their output and the image, wherever the chunks are cut', async (t) => {
  const text = [
    { stream: 'Step 1/2 : FROM base\n' },
    { stream: ' ---> 123\n' },
    { stream: 'Step 2/2 : RUN echo ü' },
    { stream: '\n' },
    { stream: 'ü\n' },
    { aux: { ID: 'sha256:9' } },
  ]
    .map((one) => `${JSON.stringify(one)}\r\n`)
    .join('')
  const bytes = Buffer.from(text)
  const { follower, progress } = await follow(Array.from(bytes, (_, at) => bytes.subarray(at, at + 1)))
  t.same(progress, [
    { step: 1, steps: 2, instruction: 'FROM base', line: null },
    { step: 1, steps: 2, instruction: 'FROM base', line: ' ---> 123' },
    { step: 2, steps: 2, instruction: 'RUN echo ü', line: null },
    { step: 2, steps: 2, instruction: 'RUN echo ü', line: 'ü' },
  ])
  t.match(follower, { step: 2, output: ['ü'], imageId: 'sha256:9', error: undefined })
})

t.test('an error is kept, the progress of a layer is left out', async (t) => {
  const { follower, progress } = await follow([
    '{"status":"Pulling from x"}\n{"status":"Downloading","id":"ab","progress":"[=> ]"}\n',
    '{"errorDetail":{"message":"no"},"error":"no"}',
  ])
  t.same(
    progress.map((one) => one.line),
    ['Pulling from x'],
  )
  t.equal(follower.error, 'no')
})
