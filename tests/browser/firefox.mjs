// Drives the system's Firefox for the Python tests: one JSON command per line in, one JSON answer per line out.
import { createInterface } from 'node:readline'
import { createRequire } from 'node:module'

const require = createRequire(process.argv[2])
const puppeteer = require('puppeteer-core')

const browser = await puppeteer.launch({
  browser: 'firefox',
  executablePath: process.argv[3],
  headless: true,
  extraPrefsFirefox: {
    'media.navigator.streams.fake': true,
    'media.navigator.permission.disabled': true,
    'media.peerconnection.ice.loopback': true,
    'media.autoplay.default': 0,
    'network.dns.disableIPv6': true,
    'app.update.enabled': false,
    'datareporting.policy.dataSubmissionEnabled': false,
    'network.captive-portal-service.enabled': false,
    'network.connectivity-service.enabled': false,
    'services.settings.server': 'http://localhost:1',
    'browser.safebrowsing.malware.enabled': false,
    ...JSON.parse(process.argv[4] ?? '{}'),
  },
})
const page = await browser.newPage()

const acts = {
  init: ({ script }) => page.evaluateOnNewDocument(script),
  goto: ({ url }) => page.goto(url),
  click: ({ selector }) => page.locator(selector).click(),
  fill: ({ selector, text }) => page.locator(selector).fill(text),
  wait: ({ selector }) => page.waitForSelector(selector, { timeout: 30_000 }),
  evaluate: ({ script }) => page.evaluate(script),
  shot: ({ path }) => page.screenshot({ path }),
}

console.log(JSON.stringify({ ok: 'ready' }))
for await (const line of createInterface({ input: process.stdin })) {
  const { act, ...rest } = JSON.parse(line)
  try {
    const value = await acts[act](rest)
    console.log(JSON.stringify({ ok: act === 'evaluate' ? (value ?? null) : null }))
  } catch (error) {
    console.log(JSON.stringify({ error: String(error) }))
  }
}
await browser.close()
