import type { Backend } from '../lib/backend/backend.ts'

/** A backend of which some methods are others. */
export function backendWith(inner: Backend, others: Partial<Backend>): Backend {
  return new Proxy(inner, {
    get(target, name) {
      if (Object.hasOwn(others, name)) return Reflect.get(others, name)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
