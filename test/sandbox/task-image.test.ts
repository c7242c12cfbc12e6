import { chmodSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readTaskImage } from '../../lib/sandbox/jail/task-image.ts'

const own = '/run/slotpool/bin/bash'

t.test('what an image sets, and not who runs it', async (t) => {
  const file = join(t.testdir(), 'environment')
  const entries = ['PATH=/a:/b', 'TWO=a=b\nc', 'EMPTY=', 'NOMAD_TOKEN=x', 'VAULT_TOKEN=x', 'HOSTNAME=h', 'HOME=/', 'no entry', '=none']
  writeFileSync(file, entries.map((entry) => `${entry}\0`).join(''))
  const { environment } = await readTaskImage('/', file)
  t.same(environment, { PATH: '/a:/b', TWO: 'a=b\nc', EMPTY: '' })
})

t.test('the bash of an image is found by what its links mean there', async (t) => {
  const folder = t.testdir({
    environment: '',
    with: { usr: { bin: { bash: 'program' } } },
    linked: { nix: { 'bash-5': 'program' }, usr: { local: {} }, etc: {} },
    without: { bin: { bash: 'no program' } },
    loop: { usr: {} },
  })
  const shell = async (image: string) => (await readTaskImage(join(folder, image), join(folder, 'environment'))).shell
  chmodSync(join(folder, 'with/usr/bin/bash'), 0o755)
  chmodSync(join(folder, 'linked/nix/bash-5'), 0o755)
  symlinkSync('usr/bin', join(folder, 'with/bin'))
  t.equal(await shell('with'), '/usr/bin/bash')
  // Nothing of the machine's own is found by them.
  symlinkSync('/usr/bin', join(folder, 'without/sbin'))
  symlinkSync('/../../../../../bin/bash', join(folder, 'loop/usr/bash'))
  symlinkSync('/bin', join(folder, 'loop/bin'))
  t.equal(await shell('without'), own)
  t.equal(await shell('loop'), own)
  symlinkSync('/etc/alternatives', join(folder, 'linked/bin'))
  symlinkSync('../nix', join(folder, 'linked/etc/alternatives'))
  symlinkSync('bash-5', join(folder, 'linked/nix/bash'))
  t.equal(await shell('linked'), '/bin/bash')
})
