import t from 'tap'
import { cli } from '../fixtures/cli.ts'

t.test('doctor', async (t) => {
  const { run } = await cli(t)
  const [json, text] = await Promise.all([run(['doctor', '--json']), run(['doctor'])])
  t.match(json, { code: 0, stderr: '' })
  const { checks } = JSON.parse(json.stdout)
  const names = ['node', 'docker', 'nomad', 'bubblewrap', 'slirp4netns', 'apptainer', 'cgroups']
  t.same(
    checks.map((one: { name: string }) => one.name),
    names,
  )
  for (const check of checks) {
    t.same(Object.keys(check), ['name', 'found', 'version', 'detail', 'mend'])
    t.match(check, { found: Boolean, detail: /^.+$/s })
  }
  t.match(checks[0], { found: true, version: process.versions.node, mend: null })
  t.match(text, { code: 0, stderr: '' })
  for (const name of names) t.match(text.stdout, new RegExp(`^(ok|mend|missing) +${name} `, 'm'))
})
