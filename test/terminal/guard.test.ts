import t from 'tap'
import { refuseDestructive } from '../../lib/terminal/guard.ts'

t.test('what cannot be taken back is refused', async (t) => {
  for (const command of [
    'rm -rf /',
    'rm -rf /*',
    'sudo rm -r -f -- / ',
    'cd /tmp; rm -rf ~; ls',
    'rm -rf $HOME',
    'mkfs.ext4 /dev/sda1',
    'dd if=/dev/zero of=/dev/sda bs=1M',
    'cat image > /dev/nvme0n1',
    ':(){ :|:& };:',
    'shutdown -h now',
    'true && sudo reboot',
    '/sbin/poweroff',
    'chmod -R 777 /',
  ]) {
    t.throws(() => refuseDestructive(command), { code: 'COMMAND_REFUSED', message: /no isolation \(TERMINAL_ISOLATION=none\)/ }, command)
  }
})

t.test('what only looks like it is not', async (t) => {
  for (const command of [
    'rm -rf /tmp/build',
    'rm -rf ./dist ~/cache',
    'git rm -r docs',
    'dd if=/dev/zero of=/dev/null count=1',
    'echo x > /dev/stderr',
    'cat shutdown.log',
    'grep -r reboot .',
    'python serve.py --shutdown',
    'chmod -R 755 /tmp/build',
  ]) {
    t.doesNotThrow(() => refuseDestructive(command), command)
  }
})
