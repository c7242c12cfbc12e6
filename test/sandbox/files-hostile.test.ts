import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import t, { type Test } from 'tap'
import { SlotFiles } from '../../lib/pool/slot-files.ts'
import { JailFiles } from '../../lib/sandbox/files/jail-files.ts'
import type { PatienceLimits } from '../../lib/sandbox/files/patience.ts'
import type { Jail } from '../../lib/sandbox/jail/jail.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { tarHeader, tarOf } from '../fixtures/tars.ts'

t.setTimeout(240_000)

const asRoot = process.geteuid?.() === 0
/** A slot with a uid of its own has all that one without any isolation has, and more. */
const withoutJail = asRoot
  ? process.env.SLOTPOOL_CONTRACT === undefined
    ? (['uid'] as const)
    : (['uid', 'none'] as const)
  : (['none'] as const)
const levels = ['jail', ...withoutJail] as const
const impatient = { stallMs: 300, totalMs: 10_000, graceMs: 200 }

async function slotFiles(t: Test, isolation: (typeof levels)[number], patience?: PatienceLimits) {
  const { client, lease } = await sandboxServer(t, { isolation, ...(patience ? { patience } : {}) })
  const { leaseId, workspace } = await lease('a')
  const run = async (command: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await ran(client, leaseId, command)
    if (exitCode !== 0) throw new Error(`${command} ended with ${exitCode}: ${stderr}`)
    return stdout
  }
  return { files: new SlotFiles(client, leaseId), run, workspace, client, leaseId }
}

for (const isolation of levels) {
  t.test(`isolation ${isolation}: what is no regular file is refused, and does not hold anybody up`, async (t) => {
    const { files, run } = await slotFiles(t, isolation)
    await run('mkfifo fifo; ln -s fifo to-fifo; ln -s /dev/zero to-zero; ln -s loop loop; ln -s nowhere broken; mkdir folder')
    await run('python3 -c "import socket; socket.socket(socket.AF_UNIX).bind(\'socket\')" || :')
    for (const path of ['fifo', 'to-fifo', '/dev/zero', 'to-zero', '/dev/tty', 'folder', 'folder/']) {
      await t.rejects(files.read(path), { code: 'FILE_FAILED' }, path)
      if (!path.startsWith('folder')) await t.rejects(files.downloadTar(path), { code: 'FILE_FAILED' }, path)
    }
    for (const path of ['fifo', '/dev/zero', 'folder/', '/proc/version', '/dev'])
      await t.rejects(files.write(path, 'x'), { code: 'FILE_FAILED' }, path)
    for (const path of ['loop', 'broken', 'loop/x']) await t.rejects(files.read(path), { code: 'FILE_NOT_FOUND' }, path)
    t.match(await files.stat('fifo'), { type: 'other' })
    t.match(await files.stat('loop'), { type: 'link', target: 'loop' })
    t.match(await files.stat('to-fifo'), { type: 'link', target: 'fifo' })
    t.match(await files.stat('/dev/zero'), { type: 'other' })
    t.match(await files.read('/proc/self/status'), /^Name:/, 'a file of /proc is read, though it says that it is empty')
    await files.remove('fifo')
    await files.remove('loop')
    await files.remove('broken')
    t.same(
      (await run('ls'))
        .split('\n')
        .filter((one) => one !== '' && one !== 'socket')
        .sort(),
      ['folder', 'to-fifo', 'to-zero'],
    )
  })

  t.test(`isolation ${isolation}: no path is an option, and .. leads nowhere that a command could not go`, async (t) => {
    const { files, run, workspace } = await slotFiles(t, isolation)
    for (const name of [
      '-',
      '--',
      '-rf',
      '-exec',
      '(',
      '!',
      '$(touch injected)',
      '`touch injected`',
      '*',
      'a\'b"c',
      ' ',
      '\n',
      '~',
      'a\\',
    ]) {
      await files.write(name, name)
      t.equal(await files.read(name), name)
      t.match(await files.stat(name), { name, path: name, bytes: Buffer.byteLength(name) })
      await files.remove(name)
      await files.makeFolder(name)
      await files.uploadTar(await tarOf({ name: 'x', content: '' }), { path: name })
      t.match(await files.list(name), [{ name: 'x', path: `${name}/x` }])
      await files.remove(name, { recursive: true })
    }
    t.equal(await run('ls -A'), '')
    await files.write('kept', '')
    // Nothing above the slot is named where it would be the machine's own.
    const kept = ['.', './', `${workspace}/`, ...(isolation === 'jail' ? ['..', '/', '/tmp/../tmp', `${workspace}/../workspace`] : [])]
    for (const path of kept) await t.rejects(files.remove(path, { recursive: true }), { code: 'FILE_FAILED' }, path)
    t.equal(await files.exists('kept'), true)
    if (isolation === 'jail') {
      // The server's own: its user reaches it, that of the slot does not.
      const secret = await mkdtemp(join(tmpdir(), 'slotpool-secret-'))
      t.teardown(() => rm(secret, { recursive: true }))
      await writeFile(join(secret, 'file'), 'secret', { mode: 0o600 })
      const ways = [join(secret, 'file'), `a/../../../../../../../../..${secret}/file`, `../../../../../../../..${secret}/file`]
      for (const way of ways) {
        await t.rejects(files.read(way), { code: /^FILE_/ }, way)
        await t.rejects(files.stat(way), { code: /^FILE_/ }, way)
        await t.rejects(files.remove(way), { code: /^FILE_/ }, way)
        await t.rejects(files.downloadTar(way), { code: /^FILE_/ }, way)
      }
      // In a jail these are paths of its own.
      for (const way of ways) {
        await files.write(way, 'changed').catch(() => {})
        await files.uploadTar(await tarOf({ name: 'file', content: 'changed' }), { path: secret }).catch(() => {})
      }
      t.equal(await readFile(join(secret, 'file'), 'utf8'), 'secret')
      t.same(await readdir(secret), ['file'])
    }
  })

  t.test(`isolation ${isolation}: folders that are swapped for links meanwhile`, async (t) => {
    const { files, run, client, leaseId } = await slotFiles(t, isolation)
    await run('mkdir -p outside/deep && echo kept > outside/deep/file')
    const stop = new AbortController()
    const swapping = ran(
      client,
      leaseId,
      'while :; do mkdir -p swapped; touch swapped/file; mv -T swapped aside; ln -s outside swapped; rm -f swapped; rm -rf aside; done',
      { signal: stop.signal },
    ).catch(() => {})
    for (let turn = 0; turn < 10; turn++) {
      await files.list('.', { recursive: true }).catch(() => [])
      await files.remove('swapped', { recursive: true, missingOk: true }).catch(() => {})
      await files.uploadTar(await tarOf({ name: 'swapped/new', content: '' })).catch(() => {})
    }
    stop.abort()
    await swapping
    t.equal(await run('cat outside/deep/file'), 'kept\n', 'what a link led to was never emptied')
    t.same(
      (await run('ls -A')).split('\n').filter((one) => one.startsWith('.slotpool')),
      [],
    )
  })

  t.test(`isolation ${isolation}: a huge listing, and names of every kind`, async (t) => {
    const { files, run } = await slotFiles(t, isolation)
    await run("mkdir many names && cd many && seq -f 'file-%.0f' 1 12000 | xargs touch")
    await t.rejects(files.list('many'), { code: 'FILE_TOO_LARGE' })
    t.equal((await files.list('many', { maxEntries: 12_000 })).length, 12_000)
    await run(`cd names && touch $'a\\nb' $'\\xff\\xfe' $'tab\\t' 'ä😀' && ln -s $'to\\xff' link`)
    const names = await files.list('names')
    t.equal(names.length, 5)
    t.same(
      names
        .filter((one) => one.notUtf8)
        .map(({ name, target }) => [name, target])
        .sort(),
      [
        ['link', 'to\ufffd'],
        ['\ufffd\ufffd', undefined],
      ].sort(),
    )
    t.same(
      names
        .filter((one) => !one.notUtf8)
        .map(({ name }) => name)
        .sort(),
      ['a\nb', 'tab\t', 'ä😀'].sort(),
    )
    const host = await mkdtemp(join(tmpdir(), 'slotpool-host-'))
    t.teardown(() => rm(host, { recursive: true }))
    await files.download('names', host)
    const copied = (await readdir(host, { encoding: 'buffer' })).map((one) => one.toString('latin1')).sort()
    t.same(copied, ['a\nb', '\xff\xfe', 'tab\t', 'link', Buffer.from('ä😀').toString('latin1')].sort(), 'byte for byte')
  })
}

t.test('a tool that a command of the slot stopped is ended, and what it had begun is gone', async (t) => {
  // Only in a PID namespace of its own does this stop nobody else's tools.
  // Time enough to tidy up on a busy machine.
  const { files, run } = await slotFiles(t, 'jail', { ...impatient, graceMs: 4_000 })
  const stopping = run('while [ ! -e end ]; do pkill -STOP -x tar; pkill -STOP -x cat; done; rm end')
  const large = Buffer.alloc(8 * 1024 * 1024)
  await t.rejects(files.uploadTar(await tarOf({ name: 'a', content: large })), { code: 'FILE_FAILED', message: /did nothing/ })
  await t.rejects(files.write('b', large), { code: 'FILE_FAILED', message: /did nothing/ })
  await run(': > end')
  await stopping
  t.equal(await run('ls -A; pgrep -x tar; pgrep -x cat; :'), '')
})

t.test('an upload without an end is refused as soon as it is too much, and its sender is let go', async (t) => {
  const { files, run } = await slotFiles(t, 'none')
  let sent = 0
  const endless = async function* (first: Buffer) {
    yield first
    for (const zeros = Buffer.alloc(1024 * 1024); ; sent += zeros.length) yield zeros
  }
  const before = process.memoryUsage().rss
  await t.rejects(files.uploadTar(endless(tarHeader('bomb', { size: 8 * 1024 ** 3 - 1 }))), { code: 'FILE_TOO_LARGE' })
  await t.rejects(files.writeStream('.', endless(Buffer.from('x'))), { code: 'FILE_FAILED' })
  t.ok(sent < 512 * 1024 * 1024, `${sent} bytes were sent`)
  await t.rejects(files.writeStream('endless', endless(Buffer.from('x'))), { code: 'FILE_TOO_LARGE' })
  t.ok(process.memoryUsage().rss - before < 256 * 1024 * 1024, 'none of it was kept in memory')
  t.equal(await run('find . -type f'), '')
})

t.test('programs that mean harm in place of the tools', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-harm-'))
  t.teardown(() => rm(folder, { recursive: true }))
  /** A slot whose bash is this script, whatever it is told to run. */
  const slotOf = (script: string) => {
    const jail = {
      view: { workspace: folder, home: folder, tmp: folder },
      enter: (env: Record<string, string>) => ({
        file: 'env',
        args: ['-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`), 'bash', '-c', script],
      }),
      processes: async () => (await readdir('/proc')).filter((one) => /^\d+$/.test(one)).map(Number),
    } as unknown as Jail
    return { jail }
  }
  const never = new AbortController().signal
  const files = new JailFiles(impatient)
  const body = () => Readable.from([Buffer.from('content')], { objectMode: false })
  const bounds = { maxBytes: 1000, maxEntries: 10 }
  const operations: Record<string, (script: string) => Promise<unknown>> = {
    list: (script) => files.list(slotOf(script), 'x', { recursive: true, maxEntries: 100 }, never),
    stat: (script) => files.stat(slotOf(script), 'x', never),
    remove: (script) => files.remove(slotOf(script), 'x', true, never),
    makeFolder: (script) => files.makeFolder(slotOf(script), 'x', never),
    write: (script) => files.write(slotOf(script), 'x', body(), {}, never),
    uploadTar: async (script) =>
      files.uploadTar(slotOf(script), 'x', Readable.from([await tarOf({ name: 'a', content: 'b' })]), bounds, never),
    read: (script) => files.read(slotOf(script), 'x', never),
    downloadTar: (script) => files.downloadTar(slotOf(script), 'x', never),
  }
  const mark = `slotpool-harm-${process.pid}`
  const harms: [string, string, readonly string[]][] = [
    ['sleeps for ever', `exec -a ${mark} sleep 1000`, Object.keys(operations)],
    [
      'sleeps for ever and cannot be asked to end',
      `trap '' TERM HUP PIPE; (exec -a ${mark} sleep 1000) & wait; wait`,
      Object.keys(operations),
    ],
    [
      'complains for ever',
      `exec -a ${mark} yes complaint >&2`,
      ['list', 'stat', 'remove', 'makeFolder', 'uploadTar', 'read', 'downloadTar'],
    ],
    ['prints for ever', `exec -a ${mark} yes listing`, ['list', 'stat']],
    ['prints zeros for ever', 'exec cat /dev/zero', ['list', 'stat']],
    ['prints half an entry', "printf 'f 1 644 1.0\\0name'", ['list', 'stat']],
    ['prints sizes that are none', "printf 'f 99999999999999999999 644 1.0\\0name\\0\\0'", ['list', 'stat']],
    ['prints something else', 'echo hello', ['list', 'stat']],
    ['prints too many entries', "while :; do printf 'f 1 644 1.0\\0name\\0\\0'; done", ['list', 'stat']],
    ['fails', 'echo no >&2; exit 45', Object.keys(operations)],
    ['is ended by a signal', 'kill -9 $$', Object.keys(operations)],
  ]
  for (const [what, script, names] of harms) {
    await t.test(what, async (t) => {
      await Promise.all(
        names.map((name) =>
          t.rejects((operations[name] as (script: string) => Promise<unknown>)(script), { code: /^FILE_(FAILED|TOO_LARGE)$/ }, name),
        ),
      )
      t.same(await running(mark), [], 'nothing of it is left')
    })
  }

  await t.test('a read whose program holds its output open is whole only when it says so', async (t) => {
    const stream = await files.read(slotOf(`echo begin; exec -a ${mark} sleep 1000`), 'x', never)
    const [error] = await Promise.all([once(stream, 'error').then(([error]) => error), stream.resume()])
    t.match(error, { code: 'FILE_FAILED' })
    await untilNone(mark)
  })

  await t.test('a read that nobody wants any more ends its program', async (t) => {
    const gone = new AbortController()
    const reading = files.read(slotOf(`exec -a ${mark} sleep 1000`), 'x', gone.signal)
    gone.abort()
    await t.rejects(reading, { code: 'CANCELLED' })
    await untilNone(mark)
    const stream = await files.read(slotOf(`exec -a ${mark} yes`), 'x', never)
    stream.destroy()
    await untilNone(mark)
    t.pass('it ended')
  })
})

async function running(mark: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((one) => /^\d+$/.test(one))
  const words = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'latin1').catch(() => '')))
  return words.filter((one) => one.startsWith(`${mark}\0`))
}

/** A program that is not waited for ends behind the answer; the test's own time limit is what bounds this. */
async function untilNone(mark: string): Promise<void> {
  while ((await running(mark)).length > 0) await new Promise((resolve) => setImmediate(resolve))
}
