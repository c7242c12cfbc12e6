import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { chooseIsolation, endFirst } from '../../lib/sandbox/jail/choose.ts'
import { ran, sandboxServer } from '../fixtures/sandbox-server.ts'
import { sleepers } from '../fixtures/sleepers.ts'
import { sourceArgs } from '../fixtures/source.ts'

const sleeper = sleepers()

t.setTimeout(120_000)

const asRoot = process.geteuid?.() === 0
const skipUid = asRoot ? false : 'only root can give each slot a uid of its own'

for (const isolation of ['jail', 'uid', 'none'] as const) {
  t.test(`isolation ${isolation}`, { skip: isolation === 'uid' ? skipUid : false }, async (t) => {
    const { client, lease, folder, server } = await sandboxServer(t, { isolation, slots: 2 })
    const [a, b] = [await lease('a'), await lease('b')]
    t.match(a, {
      isolation,
      // An ordinary user may not open /dev/net/tun on every machine.
      network: isolation !== 'jail' ? 'host' : asRoot ? 'outbound' : /^(outbound|host)$/,
      root: rootOf(isolation),
      user: isolation === 'jail' && asRoot ? 'root' : 'agent',
    })
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

    if (isolation !== 'none') {
      await t.test('a timeout ends what left its session, its parent and its environment behind, and nothing else', async (t) => {
        await inA(`env -i setsid bash -c '${sleeper.command(25)} & disown'; ${sleeper.command(26)} & true`)
        const hiding = `setsid env -i bash -c '(setsid ${sleeper.command(27)} &) ; kill -STOP $$' & echo hidden; ${sleeper.command(28)}`
        const end = await ran(client, a.leaseId, hiding, { request: { timeoutMs: 1500 } })
        t.match(end, { timedOut: true, stdout: 'hidden\n' })
        t.equal((await inA(`${sleeper.find(27)} || ${sleeper.find(28)}`)).exitCode, 1)
        t.equal((await inA(`${sleeper.find(25)} && ${sleeper.find(26)}`)).exitCode, 0)
      })
    }

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

function rootOf(isolation: string): string {
  if (isolation !== 'jail') return 'shared'
  return asRoot ? 'copy-on-write' : 'read-only'
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
  const rights = await inA('grep -E "^(CapPrm|CapEff|NoNewPrivs)" /proc/self/status | tr -s "\\t" " "')
  if (isolation !== 'jail') {
    t.equal(rights.stdout, 'CapPrm: 0000000000000000\nCapEff: 0000000000000000\nNoNewPrivs: 1\n')
    return
  }
  t.equal((await inB(sleeper.find(24))).exitCode, 1, 'nor does one see what the other runs')
  t.not((await inA('unshare -m true')).exitCode, 0)
  t.not((await inA('unshare --user true')).exitCode, 0)
  t.not((await inA('mount -t tmpfs none /tmp')).exitCode, 0)
  t.not((await inA('ls /work')).exitCode, 0)
  t.notMatch((await inA('ls -l /proc/self/fd')).stdout, /namespace/, 'no descriptor of the way in')
  if (asRoot) await rootOfItsOwn(t, inA, inB)
  else {
    t.match(rights.stdout, /CapEff: 0000000000000000/)
    t.match((await inA('id -un; whoami')).stdout, /^agent\nagent\n$/)
    for (const path of ['/usr/x', '/etc/x', '/x', '/var/x', '/root/x']) t.not((await inA(`touch ${path}`)).exitCode, 0, path)
  }
}

/** Root in its slot, of nothing but its slot. */
async function rootOfItsOwn(
  t: Test,
  inA: (command: string) => ReturnType<typeof ran>,
  inB: (command: string) => ReturnType<typeof ran>,
): Promise<void> {
  t.match(await inA('id -un; echo "$HOME"; touch /usr/x /etc/x /x /var/x /root/x && chown 1000:1000 /usr/x'), {
    stdout: 'root\n/root\n',
    exitCode: 0,
  })
  t.match(await inA('useradd -m joe && su joe -c "id -un; touch ~/f; touch /usr/y"'), { stdout: 'joe\n', exitCode: 1 })
  t.match(await inB('ls /usr/x /etc/x /x /var/x /root/x; id joe'), { stdout: '' }, 'a neighbour sees nothing of it')
  t.same(
    ['/usr/x', '/etc/x', '/x', '/var/x', '/root/x'].filter((path) => existsSync(path)),
    [],
    'nor does the machine',
  )
  t.match((await inA('cat /proc/self/uid_map')).stdout, /^ +0 +0 +65536\n$/)
  for (const command of [
    'mknod /tmp/device c 1 3',
    'echo core > /proc/sys/kernel/core_pattern',
    'mount -o remount,rw /proc/sys',
    'umount /proc/sys',
    'cat /proc/1/environ',
    'ls /proc/1/root/',
    'kill -9 1 && ! kill -0 1',
    'chroot / mount -t proc proc /mnt',
  ]) {
    t.not((await inA(command)).exitCode, 0, command)
  }
  await inA('for i in 1 2 3; do (setsid true &) ; done')
  t.equal((await inA('sleep 0; ps -eo stat= | grep -c Z')).stdout, '0\n', 'what is orphaned is reaped')
}

t.test('what enters a slot is not what the slot made of it', { skip: asRoot ? false : 'only root has a root of its own' }, async (t) => {
  const { client, lease, folder } = await sandboxServer(t, { isolation: 'jail', slots: 1 })
  const { leaseId } = await lease('a')
  // Each would write down what rights it was run with.
  const spy = '#!/bin/sh\\necho "$0 $(grep CapEff /proc/self/status)" >> /seen\\n'
  const { exitCode } = await ran(
    client,
    leaseId,
    `printf '${spy}' > /spy; chmod 755 /spy; for tool in nsenter setpriv bwrap unshare; do cp --remove-destination /spy "$(command -v $tool)"; done`,
  )
  t.equal(exitCode, 0)
  t.match(
    await ran(client, leaseId, 'echo still; cat /seen; grep CapEff /proc/self/status'),
    { stdout: /^still\nCapEff:.*\n$/ },
    'none was run',
  )
  // Its own shell it may replace: that is run, with the rights of a command.
  const ofCommand = (await ran(client, leaseId, 'grep CapEff /proc/self/status')).stdout
  await ran(client, leaseId, `mv /usr/bin/bash /usr/bin/bash.real; cp /spy /usr/bin/bash`)
  await ran(client, leaseId, 'true').catch(() => {})
  const [name] = await readdir(join(folder, 'slots'))
  const layers = join(folder, 'slots', name as string, 'layers')
  t.equal(await readFile(join(layers, '0/upper/seen'), 'utf8'), `/usr/bin/bash ${ofCommand}`)
  await client.release(leaseId)
  t.match(await ran(client, (await lease('b')).leaseId, 'echo hi'), { stdout: 'hi\n' })
})

t.test('without a network', async (t) => {
  const { client, lease } = await sandboxServer(t, { isolation: 'jail', network: 'none' })
  const { leaseId, network } = await lease('a')
  t.equal(network, 'none')
  t.equal((await ran(client, leaseId, 'ls /sys/class/net 2>/dev/null; tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "')).stdout, 'lo\n')
})

t.test('never weaker than what was asked for', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'slotpool-trial-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const systemFolder = await mkdtemp(join(tmpdir(), 'slotpool-system-'))
  t.teardown(() => rm(systemFolder, { recursive: true }))
  const choose = (isolation: 'auto' | 'jail' | 'uid', network: 'none' | 'host') =>
    chooseIsolation({ isolation, network, uidBase: 1_600_000_000, folder, systemFolder })
  await t.rejects(choose('uid', 'none'), { code: 'ISOLATION_UNAVAILABLE' })
  t.match(await choose('auto', 'host'), { kind: { level: 'jail' }, reason: null })
  t.same(await readdir(folder), [], 'a trial leaves nothing')

  const kept = await chooseIsolation({
    ...{ isolation: 'jail', network: 'host', uidBase: 1_600_000_000 },
    folder,
    systemFolder,
    keepTrial: true,
  })
  t.same(await readdir(folder), [basename(kept.first?.root ?? '')], 'but the jail, where it is asked for')
  await endFirst(kept)
  t.same(await readdir(folder), [])
})

t.test('what does not work is passed over with the reason', { skip: asRoot ? false : 'only root has capabilities to lack' }, async (t) => {
  const chosenWithout = async (capabilities: string, network: string) => {
    const rights = [`--bounding-set=${capabilities}`, `--inh-caps=${capabilities}`, '--']
    const program = [process.execPath, ...sourceArgs('test/fixtures/choose-isolation.ts'), network]
    return JSON.parse((await promisify(execFile)('setpriv', [...rights, ...program])).stdout)
  }
  t.match(await chosenWithout('-net_admin', 'outbound'), {
    ...{ level: 'jail', root: 'copy-on-write', network: 'host', reason: null, left: [] },
    networkReason: /^TERMINAL_NETWORK=outbound: .*not permitted.*apt-get install slirp4netns/,
  })
  t.match(await chosenWithout('-net_admin', 'none'), {
    ...{ code: 'ISOLATION_UNAVAILABLE', left: [] },
    message: /^got network none, but a slot cannot be kept off the network here: .*loopback/,
  })
  t.match(await chosenWithout('-sys_ptrace', 'none'), {
    ...{ level: 'jail', root: 'read-only', network: 'none', networkReason: null, left: [] },
    reason: /^its root filesystem is read-only, since jail: [^;]*$/,
  })
  t.match(await chosenWithout('-sys_admin', 'outbound'), {
    ...{ level: 'uid', network: 'host', left: [] },
    ...{
      reason: /^jail: the jail of slot 0 could not be built: [^;]*$/,
      networkReason: 'isolation uid gives a slot no network of its own',
    },
  })
})
