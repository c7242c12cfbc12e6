export { FakeBackend, type FakeOptions, type FakeUsage } from './fake-backend.ts'
export type { Script, ScriptedCommand, ScriptedResult } from './scripted-execution.ts'
