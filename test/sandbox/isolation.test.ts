import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { chooseIsolation } from '../../lib/sandbox/jail/choose.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'

const sleeper = sleepers()

t.setTimeout(120_000)

const asRoot = process.geteuid?.() === 0
const skipUid = asRoot ? false : 'only root can give each slot a uid of its own'

for (const isolation of ['jail', 'uid', 'none'] as const) {
  t.test(`isolation ${isolation}`, { skip: isolation === 'uid' ? skipUid : false }, async (t) => {
    const { client, lease, folder, server } = await sandboxServer(t, { isolation, slots: 2 })
    const [a, b] = [await lease('a'), await lease('b')]
    t.match(a, { isolation, network: 'host' })
    const inA = (command: string) => ran(client, a.leaseId, command)
    const inB = (command: string) => ran(client, b.leaseId, command)

    await t.test('a clean environment and the workspace as its folder', async (t) => {
      process.env.SLOTPOOL_TEST_SECRET = 'secret'
      t.teardown(() => {
        delete process.env.SLOTPOOL_TEST_SECRET
      })
      const { stdout } = await inA('env; pwd')
      t.notMatch(stdout, /secret|NODE|npm_/)
      t.match(stdout, new RegExp(`${a.workspace}\n$`))
      t.match((await inA('echo x > /dev/stderr; echo y > /dev/stdout; echo "$HOME $TMPDIR"; touch "$HOME/h" "$TMPDIR/t"')).stderr, /^x\n$/)
      t.equal((await inA('tty; read line; echo "$?"')).stdout, 'not a tty\n1\n', 'nobody to ask')
    })

    if (isolation !== 'none') await t.test('slots are kept apart', (t) => keptApart(t, inA, inB, isolation))

    await t.test('what a slot left is gone with its lease', async (t) => {
      await inA(
        `mkdir -p deep/er && touch deep/er/file && chmod 000 deep; ln -s /etc/passwd link; ${sleeper.command(22)} & setsid ${sleeper.command(22)} &`,
      )
      await client.release(a.leaseId)
      const again = await lease('a-2')
      t.equal((await ran(client, again.leaseId, 'ls -A')).stdout, '')
      t.equal((await inB(sleeper.find(22))).exitCode, 1)
      await client.release(again.leaseId)
    })

    await t.test('closing leaves nothing', async (t) => {
      await inB(`${sleeper.command(23)} & echo x > file`)
      await server.close()
      t.same(await readdir(join(folder, 'slots')), [])
      t.notOk((await readdir(folder)).includes('pipes'))
    })
  })
}

async function keptApart(
  t: Test,
  inA: (command: string) => ReturnType<typeof ran>,
  inB: (command: string) => ReturnType<typeof ran>,
  isolation: 'jail' | 'uid',
): Promise<void> {
  const { stdout } = await inA(
    `echo secret > mine; chmod 644 mine; echo secret > "$TMPDIR/mine"; pwd; echo "$TMPDIR"; ${sleeper.command(24)} & echo $!`,
  )
  const [workspace, tmp, pid] = stdout.trim().split('\n')
  t.not((await inB(`cat ${workspace}/mine ${tmp}/mine`)).exitCode, 0)
  t.match(await inB(`kill -9 ${pid}`), { exitCode: 1 })
  t.equal((await inB(`cat /proc/${pid}/environ`)).exitCode, 1)
  t.equal((await inA(`kill -0 ${pid}`)).exitCode, 0)
  t.match(await inA('grep -E "^(CapEff|CapPrm|CapBnd|NoNewPrivs)" /proc/self/status | tr -s "\\t" " "'), {
    stdout: asRoot
      ? 'CapPrm: 0000000000000000\nCapEff: 0000000000000000\nCapBnd: 0000000000000000\nNoNewPrivs: 1\n'
      : /CapEff: 0000000000000000/,
  })
  if (isolation !== 'jail') return
  t.equal((await inB(sleeper.find(24))).exitCode, 1, 'nor does one see what the other runs')
  t.match((await inA('id -un; whoami')).stdout, /^agent\nagent\n$/)
  for (const path of ['/usr/x', '/etc/x', '/x', '/var/x', '/root/x']) t.not((await inA(`touch ${path}`)).exitCode, 0, path)
  t.not((await inA('ls /root /work')).exitCode, 0)
  t.equal((await inA('unshare -m true 2>/dev/null; mount -t tmpfs none /tmp')).exitCode === 0, false)
}

t.test('without a network', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', network: 'none' })
  const { leaseId, network } = await lease('a')
  t.equal(network, 'none')
  t.equal((await ran(client, leaseId, 'ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')).stdout, 'lo\n')
})

t.test('never weaker than what was asked for', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-trial-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const choose = (isolation: 'auto' | 'jail' | 'uid', network: 'none' | 'host') =>
    chooseIsolation({ isolation, network, uidBase: 1_600_000_000, folder })
  await t.rejects(choose('uid', 'none'), { code: 'ISOLATION_UNAVAILABLE' })
  t.match(await choose('auto', 'host'), { kind: { level: 'jail' }, reason: null })
  t.same(await readdir(folder), [], 'a trial leaves nothing')
})
