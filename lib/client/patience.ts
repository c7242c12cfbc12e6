/** How long a connection may take to be made. Both ends are on one machine or in one network. */
export const connectTimeoutMs = 5_000

/** How long a short request may wait for its answer: taking or ending a lease kills a jail at worst. */
export const answerTimeoutMs = 30_000
