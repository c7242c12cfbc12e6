import { SlotpoolError } from '../errors.ts'
import { missingInImage } from '../image-layout.ts'
import type { AllocationStub, TaskEvent } from './allocations.ts'
import { toolsTaskName } from './job-spec.ts'

/** What went wrong, most telling first: a task that could not be started says more than that it was not restarted. */
const tellingTypes = [
  'Driver Failure',
  'Setup Failure',
  'Failed Validation',
  'Failed Artifact Download',
  'Terminated',
  'Killing',
  'Killed',
  'Template',
  'Sibling Task Failed',
]

/** The registry's ways of saying that there is no such image, as Docker passes them on. */
const noSuchImage = /not found|manifest unknown|does not exist|pull access denied|no such image|invalid reference/i

/** Nomad's own words for why a task of the allocation failed, or undefined when it tells nothing. */
export function failureEvent(allocation: AllocationStub): TaskEvent | undefined {
  return failure(allocation)?.event
}

/** The task that failed, which is not always the one that serves; undefined when Nomad does not tell. */
export function failedTask(allocation: AllocationStub): string | undefined {
  return failure(allocation)?.task
}

function failure({ TaskStates }: AllocationStub): { task: string; event: TaskEvent } | undefined {
  // One that never began says only that the other failed, or is not said to have failed.
  const states = Object.entries(TaskStates ?? {}).sort(([, a], [, b]) => Number(b.Failed) - Number(a.Failed))
  for (const type of tellingTypes) {
    for (const [task, { Events }] of states) {
      const event = Events?.findLast((one) => one.Type === type)
      if (event !== undefined) return { task, event }
    }
  }
  return undefined
}

/** Whether a task ran at all before it failed: only then has it a log. */
export function hasRun({ TaskStates }: AllocationStub, task: string): boolean {
  return (TaskStates?.[task]?.Events ?? []).some((event) => event.Type === 'Started')
}

/** The error of an allocation that ended by itself. `image` is what the task that failed was to run. */
export function taskFailure(allocation: AllocationStub, image: string): SlotpoolError {
  const words = failureEvent(allocation)?.DisplayMessage || allocation.ClientDescription || `client status ${allocation.ClientStatus}`
  const details = { allocation: allocation.ID, node: allocation.NodeName, image, words }
  if (/^Failed to (pull|find docker image)/i.test(words) && noSuchImage.test(words)) {
    return new SlotpoolError(
      'IMAGE_NOT_FOUND',
      `node ${allocation.NodeName} has no image ${image} and found none to pull: ${words}; expected one there (slotpool image build makes it) or in a registry`,
      { details },
    )
  }
  if (/^Failed to pull/i.test(words)) {
    return new SlotpoolError(
      'IMAGE_PULL_FAILED',
      `node ${allocation.NodeName} has no image ${image} and could not pull it: ${words}; expected one there (slotpool image build makes it) or in a registry it reaches`,
      { details },
    )
  }
  const hint = /does not allow the following capabilities/.test(words) ? capabilityHint(allocation) : missingInImage(words)
  return new SlotpoolError('NOMAD_TASK_FAILED', `the container ${allocation.Name} failed on node ${allocation.NodeName}: ${words}${hint}`, {
    details,
    // Whether another try helps depends on what went wrong; what an operator has to allow does not change by itself.
    retryable: hint === '',
  })
}

function capabilityHint({ TaskStates }: AllocationStub): string {
  const where = '; expected them in allow_caps of the client’s docker plugin (as in nomad/nomad-dev.hcl)'
  // Slots in an image that is not slotpool's own are jails, and nothing else.
  return TaskStates?.[toolsTaskName] ? where : `${where}, or TERMINAL_ISOLATION=uid, which needs none`
}

/** How Apptainer ends that could not get an image from a registry. */
const pullWords = /^FATAL: +(Unable to handle docker:\/\/.*)$/m

/** What a task of driver `singularity` failed of by what it printed; undefined where that was no pull. `failure` is the same by {@link taskFailure}. */
export function pullFailure(failure: SlotpoolError, printed: string): SlotpoolError | undefined {
  const words = pullWords.exec(printed)?.[1]
  if (words === undefined) return undefined
  const { node, image } = failure.details
  return new SlotpoolError(
    noSuchImage.test(words) ? 'IMAGE_NOT_FOUND' : 'IMAGE_PULL_FAILED',
    `node ${node} could not make a SIF of ${image}: ${words}; expected an image in a registry that the node reaches, or a .sif file that is there`,
    { details: { ...failure.details, words } },
  )
}
