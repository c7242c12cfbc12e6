export { FakeBackend, type FakeOptions } from './fake-backend.ts'
export type { Script, ScriptedCommand, ScriptedResult } from './scripted-execution.ts'
