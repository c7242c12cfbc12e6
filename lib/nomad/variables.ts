import { z } from 'zod'
import type { NomadClient } from './client.ts'

const variable = z.object({ ModifyIndex: z.int(), Items: z.record(z.string(), z.string()) })

/** A Nomad Variable: what it holds and the index for changing just this version of it. */
export type Variable = z.infer<typeof variable>

const pathOf = (path: string): string => `/v1/var/${path.split('/').map(encodeURIComponent).join('/')}`

/** The variable at `path`, or null. */
export async function readVariable(client: NomadClient, path: string, signal?: AbortSignal): Promise<Variable | null> {
  const { value } = await client.find({ path: pathOf(path), schema: variable, purpose: `read variable ${path}`, signal })
  return value
}

const variableStub = z.object({
  Path: z.string(),
  ModifyIndex: z.int(),
  /** Nanoseconds since 1970, by Nomad's clock. */
  ModifyTime: z.number(),
})
/** What a list tells of a variable: not what it holds. */
export type VariableStub = z.infer<typeof variableStub>

/** The variables whose path begins so. Needs the capability `list` on those paths where ACLs are on; others are left out. */
export async function listVariables(client: NomadClient, prefix: string, signal?: AbortSignal): Promise<VariableStub[]> {
  const { value } = await client.request({
    path: '/v1/vars',
    query: { prefix },
    schema: z.array(variableStub),
    purpose: `list variables ${prefix}…`,
    signal,
  })
  return value
}

/** Makes the variable if there is none. @throws {SlotpoolError} `NOMAD_CONFLICT` when there is one. */
export async function createVariable(
  client: NomadClient,
  path: string,
  items: Record<string, string>,
  signal?: AbortSignal,
): Promise<Variable> {
  const { value } = await client.request({
    method: 'PUT',
    path: pathOf(path),
    query: { cas: 0 },
    body: { Items: items },
    schema: variable,
    purpose: `create variable ${path}`,
    signal,
  })
  return value
}

/** Removes the variable; with `modifyIndex` only that version of it. One that is not there is fine. */
export async function deleteVariable(client: NomadClient, path: string, modifyIndex?: number, signal?: AbortSignal): Promise<void> {
  await client.find({
    method: 'DELETE',
    path: pathOf(path),
    query: { cas: modifyIndex },
    schema: z.unknown(),
    purpose: `delete variable ${path}`,
    signal,
  })
}
