/** What is waited for until somebody ends it. */
export interface Hold {
  over: Promise<void>
  end: () => void
}

export function hold(): Hold {
  let end = (): void => {}
  const over = new Promise<void>((resolve) => {
    end = resolve
  })
  return { over, end }
}
