import type { Test } from 'tap'
import type { SlotPool } from '../../lib/pool/slot-pool.ts'
import { tarOf } from '../fixtures/tars.ts'

/** Says `here` for each process of the slot that sleeps so long. */
const sleepers = `
for process in /proc/[0-9]*; do
  { mapfile -d '' words < $process/cmdline; } 2> /dev/null || continue
  [ "\${words[*]}" != 'sleep 4321' ] || echo here
done`

/**
 * What holds for slots of `shellImage`, whose server comes from outside of it, wherever its containers run. The pool has one container with two
 * slots.
 */
export async function taskImageContract(t: Test, pool: SlotPool): Promise<void> {
  const [one, two] = await Promise.all([pool.lease('one'), pool.lease('two')])

  await t.test('commands are run by the bash that the server brings, with what the image sets', async (t) => {
    t.match(one.view, { shell: '/run/slotpool/bin/bash', isolation: 'jail', root: 'copy-on-write', user: 'root', workspace: '/workspace' })
    const script = 'a=(x y); echo "$GREETING ${a[1]} $BASH $SHELL $0 $-"; exit 7'
    t.match(await one.exec(script), { stdout: 'hello y /run/slotpool/bin/bash /run/slotpool/bin/bash bash hBc\n', exitCode: 7 })
    t.match(await one.exec('echo "$PATH ${NOMAD_LEAK-}"; sh -c "echo from \\$0"'), {
      stdout: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \nfrom sh\n',
    })
    t.match(await one.exec('! type bash node perl python3 cat'), { exitCode: 0 }, 'its programs are all there is')
    t.match(await one.exec('echo "$GREETING"', { env: { GREETING: 'bye' } }), { stdout: 'bye\n' })
  })

  await t.test('files, one by one and as a tar', async (t) => {
    await one.files.write('/workspace/a/b', 'content')
    t.equal((await one.files.read('a/b')).toString(), 'content')
    t.same(
      (await one.files.list('/workspace', { recursive: true })).map((entry) => entry.path),
      ['/workspace/a', '/workspace/a/b'],
    )
    await one.files.uploadTar(await tarOf({ name: 'c', content: 'of a tar' }), { path: 'a' })
    t.match(await one.exec('read -r line < a/c; echo "$line"'), { stdout: 'of a tar\n' })
    await one.files.remove('a', { recursive: true })
    t.same(await one.files.list('/workspace'), [])
  })

  await t.test('a command that is out of time ends with all that it started', async (t) => {
    const ended = await one.exec('echo partial; sh -c "sleep 4321 & sleep 4321"', { timeoutMs: 500 })
    t.match(ended, { stdout: 'partial\n', timedOut: true })
    t.match(await one.exec(sleepers), { stdout: '' })
  })

  await t.test('slots keep to themselves, and the tools to the server', async (t) => {
    await one.exec('echo mine > /bin/mark; echo mine > /tmp/mark; export -p > /root/mark')
    t.match(await two.exec('for f in /bin/mark /tmp/mark /root/mark; do [ ! -e $f ] || echo $f; done'), { stdout: '' })
    // A command does not wait for what it leaves behind to have become what it is.
    await one.exec(`sh -c "sleep 4321" & until [ -n "$(${sleepers})" ]; do :; done`)
    t.match(await two.exec(sleepers), { stdout: '' })
    t.match(await one.exec(sleepers), { stdout: 'here\n' }, 'as its own slot sees it')
    t.match(await one.exec('echo x > /run/slotpool/bin/bash'), { exitCode: 1, stderr: /Read-only file system/ })
    t.match(await one.exec('sh -c "mount -o remount,rw /run/slotpool || umount /run/slotpool"'), {
      stderr: /Operation not permitted|denied/,
    })
    const secrets = 'sh -c "find / -xdev -name token; ls /opt /run/slotpool-tools /image /alloc /secrets /var/lib/slotpool"'
    t.equal((await one.exec(secrets)).stdout.replace(/^\/(alloc|secrets|opt|var\/lib\/slotpool):\n\n?/gm, ''), '')
  })

  await t.test('rights are those of any slot', async (t) => {
    const { stdout } = await one.exec('while read -r name value; do echo "$name$value"; done < /proc/self/status')
    t.match(stdout, /^NoNewPrivs:1$/m)
    t.match(stdout, /^Seccomp:2$/m)
    t.match(stdout, /^CapBnd:00000000800405fb$/m)
    t.match(await one.exec('sh -c "unshare -r true"'), { exitCode: 1 })
  })

  await t.test('a release wipes', async (t) => {
    await one.release()
    await two.release()
    for (const task of ['three', 'four']) {
      const slot = await pool.lease(task)
      t.match(await slot.exec('[ ! -e /bin/mark ] && [ ! -e tick ] && [ ! -e /tmp/mark ]'), { exitCode: 0 })
      t.match(await slot.exec(sleepers), { stdout: '' })
      await slot.release()
    }
  })

  const { image, tools_image, containers, isolation, changed_by_hand } = await pool.status()
  t.same(changed_by_hand, [])
  t.match({ image, tools_image }, { image: pool.config.image, tools_image: pool.config.toolsImage })
  t.equal(containers.length, 1)
  t.equal(isolation, 'jail')
}
