/**
 * The coefficients by which the columns of `rows` add up best to `values` (least squares, by the normal equations).
 *
 * @throws {RangeError} when the rows do not determine them.
 */
export function leastSquares(rows: readonly (readonly number[])[], values: readonly number[]): number[] {
  const columns = rows[0]?.length ?? 0
  const sumOf = (at: (row: number) => number): number => values.reduce((sum, _, row) => sum + at(row), 0)
  const cell = (row: number, column: number): number => rows[row]?.[column] as number
  const matrix = Array.from({ length: columns }, (_, i) => [
    ...Array.from({ length: columns }, (_, j) => sumOf((row) => cell(row, i) * cell(row, j))),
    sumOf((row) => cell(row, i) * (values[row] as number)),
  ])
  for (let i = 0; i < columns; i++) {
    const pivot = matrix.reduce(
      (best, row, at) => (at >= i && Math.abs(row[i] as number) > Math.abs(matrix[best]?.[i] as number) ? at : best),
      i,
    )
    const [own, other] = [matrix[i] as number[], matrix[pivot] as number[]]
    matrix[i] = other
    matrix[pivot] = own
    if (Math.abs(other[i] as number) < 1e-9) throw new RangeError('got rows that do not determine the coefficients')
    for (const [at, row] of matrix.entries()) {
      if (at === i) continue
      const factor = (row[i] as number) / (other[i] as number)
      for (let j = i; j <= columns; j++) row[j] = (row[j] as number) - factor * (other[j] as number)
    }
  }
  return matrix.map((row, i) => (row[columns] as number) / (row[i] as number))
}
