import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Fifos, type NamedPipe } from '../../lib/sandbox/fifos.ts'
import { SlotPipes } from '../../lib/sandbox/slot-pipes.ts'
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

/** Begun before anything is written: a pipe that is closed empty may have ended by the time it is asked. */
async function readToEnd({ reader }: NamedPipe): Promise<string> {
  const [said] = await Promise.all([text(reader), once(reader, 'close')])
  return said
}

t.test('a pipe that was read to its end serves again, with nothing left in it', async (t) => {
  const { pipes, end } = await slotPipes(t)
  const first = await pipes.take()
  const one = readToEnd(first)
  const writer = await open(first.path, 'w')
  await writer.write('one')
  await writer.close()
  t.equal(await one, 'one')
  const second = await pipes.take()
  t.equal(second.path, first.path)
  const two = readToEnd(second)
  const again = await open(second.path, 'w')
  await again.write('two')
  await again.close()
  t.equal(await two, 'two')
  await end()
  t.equal(existsSync(first.path), false, 'it goes with its slot')
})

t.test('one that may still be written to does not', async (t) => {
  const { pipes } = await slotPipes(t)
  const first = await pipes.take()
  const writer = await open(first.path, 'w')
  first.reader.resume().destroy()
  await new Promise((resolve) => first.reader.once('close', resolve))
  t.equal(existsSync(first.path), false)
  const second = await pipes.take()
  t.not(second.path, first.path)
  second.reader.destroy()
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
    const nothing = readToEnd(pipe)
    await (await open(pipe.path, 'w')).close()
    t.equal(await nothing, '')
  }
  t.equal((await readdir(folder)).length, before)
})
