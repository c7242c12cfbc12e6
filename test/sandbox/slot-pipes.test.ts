import { existsSync } from 'node:fs'
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Fifos } from '../../lib/sandbox/fifos.ts'
import { type NamedPipe, SlotPipes } from '../../lib/sandbox/slot-pipes.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'

async function slotPipes(t: Test): Promise<{ pipes: SlotPipes; end: () => Promise<void>; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-pipes-'))
  const fifos = new Fifos(folder)
  await fifos.prepare()
  t.teardown(async () => {
    await fifos.close()
    await rm(folder, { recursive: true, force: true })
  })
  let endSlot = (): void => {}
  const ended = new Promise<void>((resolve) => {
    endSlot = resolve
  })
  const end = async (): Promise<void> => {
    endSlot()
    await ended
  }
  return { pipes: new SlotPipes(fifos, ended), end, folder }
}

/** All that `write` writes, and what is read of it: at once when it is over, or as a stream while it goes on. */
async function read({ path, pipe }: NamedPipe, how: 'at once' | 'as a stream', words: readonly string[]): Promise<string> {
  // As by a fork server, before anybody reads.
  const writer = await open(path, 'w')
  let said = ''
  const heard = new Promise<void>((resolve) => {
    pipe.listen((chunk) => {
      said += chunk.toString()
      if (said === words.join('')) resolve()
    })
  })
  for (const word of words) await writer.write(word)
  if (how === 'as a stream') await heard
  await writer.close()
  await pipe.drain()
  pipe.discard()
  return said
}

for (const how of ['at once', 'as a stream'] as const) {
  t.test(`a pipe that was read to its end serves again, with nothing left in it, ${how}`, async (t) => {
    const { pipes, end } = await slotPipes(t)
    const paths = new Set<string>()
    for (const words of [['one'], ['two', 'three'], ['four']]) {
      const pipe = await pipes.take()
      paths.add(pipe.path)
      t.equal(await read(pipe, how, words), words.join(''))
      // What reads a stream notes its end a little later.
      while (!pipe.pipe.over) await new Promise(setImmediate)
    }
    t.equal(paths.size, 1)
    await end()
    t.same([...paths].filter(existsSync), [], 'it goes with its slot')
  })
}

t.test('one that may still be written to does not', async (t) => {
  const { pipes } = await slotPipes(t)
  const first = await pipes.take()
  const writer = await open(first.path, 'w')
  await first.pipe.drain()
  first.pipe.close()
  t.equal(existsSync(first.path), false)
  const second = await pipes.take()
  t.not(second.path, first.path)
  second.pipe.close()
  await writer.close()
})

t.test('a command after one that left a writer behind has its own output alone', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail' })
  const { leaseId } = await lease('a')
  const run = (command: string) => ran(client, leaseId, command)
  const late = '{ until [ -e go ]; do sleep 0.01; done; echo late; echo late >&2; : > gone; } & echo early'
  t.match(await run(late), { stdout: 'early\n', stderr: '' })
  t.match(await run(': > go; until [ -e gone ]; do sleep 0.01; done; echo mine'), { stdout: 'mine\n', stderr: '' })
  for (let at = 0; at < 5; at++) t.match(await run(`echo ${at}; echo ${at} >&2`), { stdout: `${at}\n`, stderr: `${at}\n` })
})

t.test('many commands take no more pipes than one', async (t) => {
  const { pipes, folder } = await slotPipes(t)
  const before = (await readdir(folder)).length
  for (let at = 0; at < 10; at++) {
    const pipe = await pipes.take()
    t.equal(await read(pipe, 'at once', []), '')
  }
  t.equal((await readdir(folder)).length, before)
})
