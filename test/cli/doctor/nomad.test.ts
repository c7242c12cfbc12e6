import t from 'tap'
import { z } from 'zod'
import { thisMachine } from '../../../lib/cli/doctor/machine.ts'
import { checkNomad } from '../../../lib/cli/doctor/nomad.ts'
import { loadConfig } from '../../../lib/config.ts'
import { listNodes } from '../../../lib/nomad/nodes.ts'
import { bareMachine, noAbort } from '../../fixtures/doctor-machine.ts'
import { answering, deadAddress } from '../../fixtures/fake-nomad.ts'
import { nomadAgent } from '../../fixtures/nomad-agent.ts'
import { dockerSkip, nomadSkip } from '../../fixtures/require-service.ts'

const withoutNomad = await nomadSkip()
const skip = withoutNomad || (await dockerSkip())
t.setTimeout(300_000)

const at = (address: string, token?: string) => loadConfig({ nomad: { address, ...(token === undefined ? {} : { token }) } }, {})

t.test('neither program nor agent', async (t) => {
  const address = await deadAddress()
  const check = await checkNomad(at(address), bareMachine(), noAbort())
  t.match(check, { name: 'nomad', found: false, version: null, mend: 'unset TERMINAL_NOMAD_ADDRESS NOMAD_ADDR' })
  t.match(check.detail, `no agent answers at ${address} (connect ECONNREFUSED`)
  t.match(check.detail, 'no program nomad on PATH')
})

t.test('the program without an agent', { skip: withoutNomad }, async (t) => {
  const check = await checkNomad(at(await deadAddress()), thisMachine(), noAbort())
  t.match(check, { found: true, version: /^\d+\.\d+\.\d+/, detail: /; program \/\S+nomad \d/ })
})

t.test('something that is no agent', async (t) => {
  const address = await answering(t, (_, response) => void response.end('<html>hello'))
  const check = await checkNomad(at(address), bareMachine(), noAbort())
  t.match(check, { found: false, detail: /is not one of Nomad's/, mend: 'unset TERMINAL_NOMAD_ADDRESS NOMAD_ADDR' })
})

t.test('an agent that is not well', async (t) => {
  const address = await answering(t, (_, response) => void response.writeHead(500).end('no leader'))
  t.match(await checkNomad(at(address), bareMachine(), noAbort()), { found: false, detail: /no leader/, mend: null })
})

t.test('a certificate that cannot be read', async (t) => {
  const config = loadConfig({ nomad: { address: 'https://127.0.0.1:1', caCert: '/nonexistent.pem' } }, {})
  t.match(await checkNomad(config, bareMachine(), noAbort()), { found: false, detail: /^NOMAD_CACERT: got/, mend: 'unset NOMAD_CACERT' })
})

t.test('an agent that runs containers', { skip }, async (t) => {
  const { address, client } = await nomadAgent(t)
  const check = await checkNomad(at(address), bareMachine(), noAbort())
  t.match(check, { found: true, version: /^\d+\.\d+\.\d+/, detail: /docker driver healthy on 1 of 1 nodes; no program/, mend: null })

  await t.test('and may not', async (t) => {
    const [node] = (await listNodes(client)).value
    const path = `/v1/node/${node?.ID}/eligibility`
    await client.request({ method: 'PUT', path, body: { Eligibility: 'ineligible' }, schema: z.object({}), purpose: 'close the node' })
    const check = await checkNomad(at(address), bareMachine(), noAbort())
    t.match(check, { found: true, detail: /no node runs its docker driver \(.*: is ineligible\)/ })
    t.equal(check.mend, `nomad node eligibility -enable ${node?.ID}`)
  })
})

t.test('an agent that wants a token', { skip }, async (t) => {
  const { address, connection, client } = await nomadAgent(t, { acl: true })
  const unknown = '01234567-89ab-cdef-0123-456789abcdef'
  const without = await checkNomad(at(address), bareMachine(), noAbort())
  t.match(without, { found: true, version: null, detail: /wants a NOMAD_TOKEN/, mend: /^export NOMAD_TOKEN=/ })
  const wrong = await checkNomad(at(address, unknown), bareMachine(), noAbort())
  t.match(wrong, { found: true, detail: /does not know this NOMAD_TOKEN/, mend: /^export NOMAD_TOKEN=/ })
  t.notMatch(JSON.stringify(wrong), unknown)
  t.match(await checkNomad(at(address, connection.token), bareMachine(), noAbort()), { found: true, version: /^\d/, mend: null })

  const policy = { Name: 'few', Rules: 'namespace "default" { policy = "write" }' }
  await client.text({ method: 'PUT', path: '/v1/acl/policy/few', body: policy, purpose: 'make a policy' })
  const schema = z.object({ SecretID: z.string() })
  const body = { Name: 'few', Type: 'client', Policies: ['few'] }
  const { value } = await client.request({ method: 'PUT', path: '/v1/acl/token', body, schema, purpose: 'make a token' })
  const few = await checkNomad(at(address, value.SecretID), bareMachine(), noAbort())
  t.match(few, { found: true, detail: /NOMAD_TOKEN has no node:read/, mend: null })
})
