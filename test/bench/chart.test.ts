import t from 'tap'
import { renderChart } from '../../bench/chart.ts'
import { summarize } from '../../bench/statistics.ts'
import { escapeXml } from '../../bench/svg.ts'

t.test('text is text, whatever is in it', async (t) => {
  t.equal(escapeXml(`<a href="x">&'\u0007`), '&lt;a href=&quot;x&quot;&gt;&amp;&apos; ')
  const samples = [1, 2, 3]
  const measure = {
    scenario: 's',
    what: '</text><script>',
    system: '<b>&',
    unit: 'ms',
    better: 'less',
    samples,
    summary: summarize(samples),
  }
  const svg = renderChart('<i>', '"&"', [{ ...measure, better: 'less' }], [])
  t.notMatch(svg, /<script>|<b>|<i>/)
  t.match(svg, '<title>&lt;i&gt;</title>')
  t.equal(svg.match(/&(?!(amp|lt|gt|quot|apos);)/), null)
})
