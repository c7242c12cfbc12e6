import { execFileSync, spawnSync } from 'node:child_process'
import { createSign, randomUUID } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { LayoutRegistry } from '../../../lib/backend/registry/layout-registry.ts'
import { imageRegistry, registryUser, storedBlob } from '../../fixtures/image-registry.ts'
import { registrySkip } from '../../fixtures/require-service.ts'
import { scriptedRegistry } from '../../fixtures/scripted-registry.ts'
import { putSmallImage } from '../../fixtures/small-image.ts'
import { withVariable } from '../../fixtures/with-variable.ts'

const skip = await registrySkip()
const wrong = 'not-the-right-one'

/** Docker's configuration as the test wants it, in a folder of its own. */
function dockerConfig(t: Test): { file: string; write(config: unknown): void } {
  const folder = t.testdir()
  withVariable(t, 'DOCKER_CONFIG', folder)
  const file = join(folder, 'config.json')
  return { file, write: (config) => writeFileSync(file, typeof config === 'string' ? config : JSON.stringify(config)) }
}

const auth = (username: string, password: string) => ({ auth: Buffer.from(`${username}:${password}`).toString('base64') })

/** Nothing that a person or a log is shown of an error has a secret in it. */
async function refused(t: Test, doing: Promise<unknown>, expected: object): Promise<void> {
  const error = await doing.then(
    () => t.fail('it was not refused'),
    (error: unknown) => error,
  )
  t.match(error, { code: 'REGISTRY_UNAUTHORIZED', retryable: false, ...expected })
  const shown = `${inspect(error, { depth: 20, showHidden: true })}${JSON.stringify(error)}`
  for (const secret of [wrong, registryUser.password, ...['ann', 'eve'].map((name) => auth(name, wrong).auth)])
    t.notOk(shown.includes(`${secret}`), secret)
}

t.test('a registry that asks for a password', { skip }, async (t) => {
  const { host } = await imageRegistry(t, 'htpasswd')
  const { file, write } = dockerConfig(t)
  const here = new LayoutRegistry(join(t.testdirName, 'here'))
  const there = new LayoutRegistry(join(t.testdirName, 'there'))
  const { manifest } = await putSmallImage(here.buildTarget(), 'mine:1')
  const remote = `${host}/mine:1`
  const push = () => here.push('mine:1', remote)

  await refused(t, push(), { message: `registry ${host} refused to say whether it has` })
  write({ auths: { 'other.example': auth('ann', registryUser.password) } })
  await refused(t, push(), { message: `${file} has nothing for it; expected \`docker login ${host}\`` })
  write({ auths: { [host]: {} }, credHelpers: { [host]: 'pass' } })
  await refused(t, push(), { message: `${file} leaves it to pass, which is not asked` })
  write({ auths: { [host]: auth('ann', wrong) } })
  await refused(t, push(), { message: `it does not accept what ${file} has for it` })
  write({ auths: { [`http://${host}/v2/`]: auth('eve', wrong) } })
  await refused(t, there.pull(remote), { message: `refused to give the manifest 1 of mine: it does not accept` })
  write(`{"auths": {"${host}": ${wrong}}}`)
  await t.rejects(push(), { code: 'CONFIG_INVALID', message: new RegExp(`^${file}: got something that is not`) })
  t.notMatch(inspect(await push().catch((error: unknown) => error), { depth: 20 }), wrong)

  write({ auths: { [`http://${host}/v2/`]: auth('ann', registryUser.password) } })
  t.same(await push(), manifest)
  write({ auths: { [host]: registryUser } })
  t.same(await there.pull(remote), manifest)
  await t.rejects(there.pull(`${host}/mine:2`), { code: 'REF_NOT_FOUND' })
  const otherForm = host.replace('127.0.0.1', '127.1')
  write({ auths: { [otherForm]: registryUser } })
  t.same(await there.pull(`${otherForm}/mine:1`, { plainHttp: true }), manifest, 'whatever form its address is written in')
})

t.test('who is sent on to another host tells it nothing', { skip }, async (t) => {
  const { host, folder } = await imageRegistry(t, 'htpasswd')
  const { write } = dockerConfig(t)
  const told: (string | undefined)[] = []
  let asks = false
  const elsewhere = await scriptedRegistry(t, (request, response) => {
    told.push(request.headers.authorization)
    if (asks) response.writeHead(401, { 'www-authenticate': 'Basic realm="elsewhere"' }).end()
    else response.end(readFileSync(storedBlob(folder, request.url?.slice(1) ?? '')))
  })
  let target = `http://${elsewhere}`
  // As a registry does that has its blobs with somebody else.
  const front = await scriptedRegistry(t, (request, response) => {
    const [, digest] = /\/blobs\/(sha256:[0-9a-f]+)$/.exec(request.url ?? '') ?? []
    if (digest !== undefined && request.headers.authorization !== undefined && request.method === 'GET') {
      response.writeHead(307, { location: `${target}/${digest}` }).end()
      return
    }
    const { method, url: path, headers } = request
    request.pipe(
      httpRequest(`http://${host}`, { method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode ?? 0, answer.headers)
        answer.pipe(response)
      }),
    )
  })
  write({ auths: { [host]: registryUser, [front]: registryUser, [elsewhere]: registryUser } })
  const here = new LayoutRegistry(join(t.testdirName, 'here'))
  const { manifest } = await putSmallImage(here.buildTarget(), 'mine:1')
  await here.push('mine:1', `${host}/mine:1`)
  const pull = (name: string) => new LayoutRegistry(join(t.testdirName, name)).pull(`${front}/mine:1`)
  t.same(await pull('there'), manifest)
  t.same(told, [undefined, undefined])
  asks = true
  await t.rejects(pull('asked'), { code: 'REGISTRY_REQUEST_FAILED', message: /status 401/ })
  t.ok(told.every((one) => one === undefined))
  target = 'http://registry.invalid'
  await t.rejects(pull('plain'), { code: 'REGISTRY_REQUEST_FAILED', retryable: false, message: /expected https/ })
})

const withoutOpenssl = spawnSync('openssl', ['version']).error ? 'needs the program openssl' : false

t.test('a registry that sends for a token', { skip: skip || withoutOpenssl }, async (t) => {
  const { write } = dockerConfig(t)
  const [key, certificate] = [join(t.testdirName, 'key.pem'), join(t.testdirName, 'cert.pem')]
  const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=tokens', '-keyout', key, '-out', certificate]
  execFileSync('openssl', request, { stdio: 'ignore' })
  const chain = readFileSync(certificate, 'utf8').replace(/-----[A-Z ]+-----|\n/g, '')
  const asked: URLSearchParams[] = []
  // Gives whoever has the right password, or the right identity token, what is asked for.
  const tokens = await scriptedRegistry(t, async (request, response) => {
    let form = ''
    for await (const chunk of request) form += chunk
    const query = form === '' ? new URL(request.url ?? '/', 'http://x').searchParams : new URLSearchParams(form)
    asked.push(query)
    const right = `Basic ${auth('ann', registryUser.password).auth}`
    if (request.headers.authorization !== right && query.get('refresh_token') !== 'identity') {
      response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED"}]}')
      return
    }
    response.end(JSON.stringify({ token: signed(readFileSync(key, 'utf8'), chain, query.get('scope') ?? '') }))
  })
  const realm = `http://${tokens}/token`
  const { host } = await imageRegistry(t, { token: { realm, service: 'images', issuer: 'tokens', rootcertbundle: certificate } })
  const here = new LayoutRegistry(join(t.testdirName, 'here'))
  const there = new LayoutRegistry(join(t.testdirName, 'there'))
  const { manifest } = await putSmallImage(here.buildTarget(), 'mine:1')
  const remote = `${host}/mine:1`

  write({ auths: { [host]: auth('ann', wrong) } })
  await refused(t, here.push('mine:1', remote), { message: 'it does not accept' })
  write({ auths: { [host]: auth('ann', registryUser.password) } })
  t.same(await here.push('mine:1', remote), manifest)
  t.ok(asked.some((query) => /^repository:mine:(pull,push|push,pull)$/.test(query.get('scope') ?? '')))
  t.equal(asked[0]?.get('service'), 'images')
  write({ auths: { [host]: { identitytoken: 'identity' } } })
  t.same(await there.pull(remote), manifest)
  t.match(Object.fromEntries(asked.at(-1) ?? []), { grant_type: 'refresh_token', scope: 'repository:mine:pull', service: 'images' })
  write({})
  await refused(t, there.pull(remote), { message: 'has nothing for it' })
})

/** A token as the registry takes them: a JWT that says what may be done, signed by whom it trusts. */
function signed(key: string, chain: string, scope: string): string {
  const [type, name, actions = ''] = scope.split(':')
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    ...{ iss: 'tokens', sub: 'ann', aud: 'images', jti: randomUUID() },
    ...{ iat: now - 10, nbf: now - 10, exp: now + 300, access: [{ type, name, actions: actions.split(',') }] },
  }
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const content = `${encode({ typ: 'JWT', alg: 'RS256', x5c: [chain] })}.${encode(claims)}`
  return `${content}.${createSign('RSA-SHA256').update(content).sign(key, 'base64url')}`
}
