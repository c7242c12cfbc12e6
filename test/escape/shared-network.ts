import type { SubjectName, TriedSlot } from './attempt.ts'

/** Why attempts upon the network say nothing, or false: only where an ordinary user's machine cannot give slots one, and the lease says so. */
export function sharedNetwork({ network }: Pick<TriedSlot, 'network'>, subject: SubjectName): string | false {
  return (
    subject === 'ordinary-user' && network === 'host' && 'its network is the machine’s own, as the lease says: there is no slirp4netns here'
  )
}
