import t from 'tap'
import { z } from 'zod'
import { terminalToolSchema } from '../../lib/terminal/schema.ts'

t.test('the model is shown a command, whether it goes to the background, and its timeout', async (t) => {
  t.equal(terminalToolSchema.name, 'terminal')
  t.same(Object.keys(terminalToolSchema.parameters.properties), ['command', 'background', 'timeout'])
  for (const { description } of Object.values(terminalToolSchema.parameters.properties)) t.match(description, /\.$/)
})

t.test('its parameters are a JSON schema', async (t) => {
  const schema = z.fromJSONSchema(JSON.parse(JSON.stringify(terminalToolSchema.parameters)))
  for (const call of [{ command: 'ls' }, { command: 'ls', background: true, timeout: 0.5 }]) t.ok(schema.safeParse(call).success)
  for (const call of [
    {},
    { command: 7 },
    { command: 'ls', task_id: 'a' },
    { command: 'ls', timeout: '5' },
    { command: 'ls', background: 1 },
  ]) {
    t.notOk(schema.safeParse(call).success, JSON.stringify(call))
  }
})
