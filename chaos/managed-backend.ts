import { setTimeout as delay } from 'node:timers/promises'
import type { Backend, Container } from '../lib/backend/backend.ts'
import type { Endpoint } from '../lib/wire/endpoint.ts'
import { backendWith } from './backend-with.ts'
import type { Mailbox } from './mailbox.ts'

/** How soon a manager looks whether containers of a backend in the supervisor have changed. */
const lookPauseMs = 250

/** A backend whose containers are reached by ways that can be cut. All else is the backend's own. */
export function byProxies(inner: Backend, mailbox: Mailbox): Backend {
  const routes = new Map<string, Promise<Endpoint>>()
  const routed = async (container: Container): Promise<Container> => {
    const { id, endpoint } = container
    if (!endpoint) return container
    // One that starts anew at another address keeps its id.
    const key = JSON.stringify([id, endpoint])
    let route = routes.get(key)
    if (!route) {
      route = mailbox.ask({ kind: 'route', container: { id }, endpoint }) as Promise<Endpoint>
      routes.set(key, route)
    }
    return { ...container, endpoint: await route }
  }
  const all = async (containers: Promise<Container[]>): Promise<Container[]> => Promise.all((await containers).map(routed))
  return backendWith(inner, {
    list: (signal) => all(inner.list(signal)),
    grow: (count, signal) => all(inner.grow(count, signal)),
  })
}

/** A backend that is in the supervisor, as `fake` is: its containers would otherwise end with the manager that made them. */
export function backendOfSupervisor(mailbox: Mailbox): Backend {
  const call =
    (method: string) =>
    (...args: unknown[]): Promise<never> =>
      mailbox.ask({ kind: 'backend', method, args: args.filter((one) => !(one instanceof AbortSignal)) }) as Promise<never>
  const backend = {
    name: 'fake' as const,
    token: call('token'),
    list: call('list'),
    shape: call('shape'),
    check: call('check'),
    grow: call('grow'),
    remove: call('remove'),
    destroy: call('destroy'),
    watch: async (onChange: () => void, signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await delay(lookPauseMs, undefined, { signal }).catch(() => {})
        onChange()
      }
    },
    close: async () => {},
  }
  return backend
}
