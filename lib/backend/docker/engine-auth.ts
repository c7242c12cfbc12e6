import { knownCredentials } from '../registry/registry-credentials.ts'

/** Who asks, as the engine is told it for one pull or push; undefined where nothing is known for the registry. */
export async function engineAuth(host: string, env: NodeJS.ProcessEnv): Promise<Record<string, string> | undefined> {
  const { credentials } = await knownCredentials(host, env)
  if (credentials === undefined) return undefined
  const serveraddress = host === 'docker.io' ? 'https://index.docker.io/v1/' : host
  return 'identityToken' in credentials ? { identitytoken: credentials.identityToken, serveraddress } : { ...credentials, serveraddress }
}
