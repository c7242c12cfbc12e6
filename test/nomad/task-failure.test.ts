import t from 'tap'
import type { AllocationStub, TaskEvent } from '../../lib/nomad/allocations.ts'
import { failedTask, failureEvent, hasRun, taskFailure } from '../../lib/nomad/task-failure.ts'

const event = (Type: string, DisplayMessage: string): TaskEvent => ({ Type, DisplayMessage, Time: 0 })

function failed(...events: TaskEvent[]): AllocationStub {
  const task = { State: 'dead', Failed: true, Events: [event('Received', 'Task received by client'), ...events] }
  return {
    ...{ ID: 'a1', Name: 'slotpool-p.sandbox[0]', NodeID: 'n', NodeName: 'node-1', TaskGroup: 'sandbox', CreateIndex: 1 },
    ...{ DesiredStatus: 'run', ClientStatus: 'failed', ClientDescription: 'Failed tasks' },
    TaskStates: { 'sandbox-server': task },
  }
}

const notRestarting = event('Not Restarting', 'Policy allows no restarts')

t.test('an image that is nowhere', async (t) => {
  for (const words of [
    'Failed to pull `i:1`: Error response from daemon: manifest for i:1 not found: manifest unknown',
    'Failed to pull `i:1`: Error response from daemon: pull access denied for i, repository does not exist or may require authorization',
  ]) {
    const error = taskFailure(failed(event('Driver', 'Downloading image'), event('Driver Failure', words), notRestarting), 'i:1')
    t.match(error, { code: 'IMAGE_NOT_FOUND', retryable: false, details: { image: 'i:1', node: 'node-1', words } })
    t.match(error.message, words)
  }
})

t.test('an image that could not be pulled', async (t) => {
  const words = 'Failed to pull `i:1`: Error response from daemon: Get "https://registry/v2/": dial tcp: connection refused'
  t.match(taskFailure(failed(event('Driver Failure', words), notRestarting), 'i:1'), { code: 'IMAGE_PULL_FAILED', retryable: true })
})

t.test('a capability that the client does not allow', async (t) => {
  const words = 'Failed to create container configuration for image "i:1": driver does not allow the following capabilities: sys_admin'
  const error = taskFailure(failed(event('Driver Failure', words), notRestarting), 'i:1')
  t.match(error, { code: 'NOMAD_TASK_FAILED', retryable: false })
  t.match(error.message, /capabilities: sys_admin; expected them in allow_caps .* or TERMINAL_ISOLATION=uid/)
  const tools = { State: 'dead', Failed: false, Events: [] }
  const inTaskImage = failed(event('Driver Failure', words), notRestarting)
  const other = taskFailure({ ...inTaskImage, TaskStates: { ...inTaskImage.TaskStates, tools } }, 'i:1')
  t.match(other.message, /expected them in allow_caps of .*\(as in nomad\/nomad-dev\.hcl\)$/, 'which isolation uid cannot be had in')
})

t.test('the task that comes before the server', async (t) => {
  const words = 'Failed to pull `tools:1`: Error response from daemon: manifest unknown'
  const tools = { State: 'dead', Failed: true, Events: [event('Received', ''), event('Driver Failure', words), notRestarting] }
  const server = { State: 'dead', Failed: false, Events: [event('Received', ''), event('Sibling Task Failed', 'Task "tools" failed')] }
  const allocation = { ...failed(), TaskStates: { 'sandbox-server': server, tools } }
  t.equal(failedTask(allocation), 'tools')
  t.equal(failureEvent(allocation)?.DisplayMessage, words)
  t.notOk(hasRun(allocation, 'tools'))
  t.match(taskFailure(allocation, 'tools:1'), { code: 'IMAGE_NOT_FOUND', details: { image: 'tools:1' } })
})

t.test('an image without a sandbox server', async (t) => {
  const words =
    'Failed to start container 1: Error response from daemon: exec: "/usr/bin/tini": stat /usr/bin/tini: no such file or directory'
  const messageOf = (said: string) => taskFailure(failed(event('Driver Failure', said), notRestarting), 'i:1').message
  t.match(messageOf(words), /no sandbox server: .*TERMINAL_TOOLS_IMAGE/)
  t.match(messageOf(words.replaceAll('/usr/bin/tini', '/opt/slotpool/copy-tools')), /has no tools: .*TERMINAL_TOOLS_IMAGE/)
})

t.test('a task that ended', async (t) => {
  const words = 'OOM Killed, Exit Code: 137'
  const allocation = failed(event('Started', 'Task started by client'), event('Terminated', words), notRestarting)
  t.ok(hasRun(allocation, 'sandbox-server'))
  t.equal(failureEvent(allocation)?.DisplayMessage, words)
  t.match(taskFailure(allocation, 'i:1'), {
    code: 'NOMAD_TASK_FAILED',
    retryable: true,
    message: /sandbox\[0\] failed on node node-1: OOM/,
  })
})

t.test('a task without a word', async (t) => {
  const allocation = failed()
  t.notOk(hasRun(allocation, 'sandbox-server'))
  t.match(taskFailure(allocation, 'i:1').message, /Failed tasks/)
  t.match(
    taskFailure({ ...allocation, ClientStatus: 'lost', ClientDescription: '', TaskStates: null }, 'i:1').message,
    /client status lost/,
  )
})
