export { type ErrorBody, type ErrorCode, errorTable, SlotpoolError } from './errors.ts'
