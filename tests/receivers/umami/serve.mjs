// Umami's own server, as npm has it (2.10.0, the last that was published there), on the PostgreSQL of DATABASE_URL. What the package lacks to run
// from the registry alone is added: a Prisma client that needs no engine from elsewhere, and the newer releases' way in for batches, which their
// route takes apart as the one below does: each event goes to `/api/send` as if its visitor's browser had sent it.
//
// The first line of output is the port; it ends when standard input closes.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PACKAGE = 'umami@2.10.0'
/** What the registry said of that package when this was written; another one is not run. */
const INTEGRITY = 'sha512-+lmrnV0751R6U2rkIgVAlE1nWI7yZawlMlJDguW9tlFacCKhnGeCyc7tCMIhNNYIiGIQy4DEX5IzJhm4b3+dPA=='
/** The header in which it is told a visitor's address. */
const ADDRESS = 'x-of-the-visitor'
const BODY_BYTES_MAX = 1024 * 1024

const home = dirname(fileURLToPath(import.meta.url))
const server = join(home, 'target')
const log = (what) => process.stderr.write(`${what}\n`)

function quietly(program, parameters, options) {
  return execFileSync(program, parameters, { cwd: home, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', ...options })
}

/** Lays the server out beside this file, where the packages that it needs are found. */
function prepare() {
  const stamp = join(server, `laid-out-${PACKAGE}`)
  if (existsSync(stamp)) return
  rmSync(server, { recursive: true, force: true })
  const laid = join(home, 'node_modules', '.umami')
  rmSync(laid, { recursive: true, force: true })
  mkdirSync(laid, { recursive: true })
  const [{ filename, integrity }] = JSON.parse(quietly('npm', ['pack', PACKAGE, '--json', '--pack-destination', laid]))
  if (integrity !== INTEGRITY) throw new Error(`${PACKAGE} is not what it was: ${integrity}`)
  quietly('tar', ['xzf', join(laid, filename), '-C', laid])
  const unpacked = join(laid, 'package')

  // Its database, by a client that is all JavaScript.
  mkdirSync(join(unpacked, 'prisma'))
  const schema = readFileSync(join(unpacked, 'db/postgresql/schema.prisma'), 'utf8')
  writeFileSync(join(unpacked, 'prisma/schema.prisma'), schema.replace('"prisma-client-js"', '"prisma-client-js"\n  engineType = "client"'))
  // No engine is needed, but it is looked for: any program will do.
  quietly(join(home, 'node_modules/.bin/prisma'), ['generate', '--schema', join(unpacked, 'prisma/schema.prisma')], {
    env: { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: process.execPath, PRISMA_HIDE_UPDATE_MESSAGE: '1', CHECKPOINT_DISABLE: '1' },
  })
  const wrapper = join(unpacked, 'node_modules/@umami/prisma-client')
  mkdirSync(wrapper, { recursive: true })
  writeFileSync(join(wrapper, 'package.json'), JSON.stringify({ name: '@umami/prisma-client', version: '0.0.0', main: 'index.js' }))
  writeFileSync(
    join(wrapper, 'index.js'),
    `const { PrismaClient } = require('@prisma/client')
const { PrismaPg } = require('@prisma/adapter-pg')
const client = new PrismaClient({ adapter: new PrismaPg({ connectionString: process.env.DATABASE_URL }) })
exports.__esModule = true
exports.default = {
  client,
  rawQuery: (query, parameters = []) => client.$queryRawUnsafe(query, ...parameters),
  transaction: (steps, options) => client.$transaction(steps, options),
}
`,
  )
  // Where addresses are: a database in which those that are nobody's are nowhere.
  mkdirSync(join(unpacked, 'geo'))
  cpSync(join(home, '../../suite/networks.mmdb'), join(unpacked, 'geo/GeoLite2-City.mmdb'))
  // Nothing else is asked of it but its API: the rest is not built.
  for (const name of ['app', 'components']) rmSync(join(unpacked, 'src', name), { recursive: true, force: true })
  writeFileSync(join(unpacked, `laid-out-${PACKAGE}`), '')
  renameSync(unpacked, server)
}

const bodyOf = async (request) => {
  const parts = []
  let bytes = 0
  for await (const part of request) {
    bytes += part.length
    if (bytes > BODY_BYTES_MAX) throw new Error('a body that is too long')
    parts.push(part)
  }
  return Buffer.concat(parts)
}

/** What the newer releases' route for batches does: one after the other, and what failed by its place. */
async function batch(request, response, port) {
  const events = JSON.parse(await bodyOf(request))
  const details = []
  for (const [index, event] of events.entries()) {
    const { ip, userAgent } = event.payload
    const headers = { 'content-type': 'application/json', [ADDRESS]: ip, 'user-agent': userAgent ?? request.headers['user-agent'] }
    const answer = await fetch(`http://127.0.0.1:${port}/api/send`, { method: 'POST', headers, body: JSON.stringify(event) })
    if (!answer.ok) details.push({ index, response: await answer.text() })
  }
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ size: events.length, processed: events.length - details.length, errors: details.length, details }))
}

prepare()
Object.assign(process.env, { APP_SECRET: 'of the test', DISABLE_TELEMETRY: '1', NEXT_TELEMETRY_DISABLED: '1', CLIENT_IP_HEADER: ADDRESS })
process.chdir(server)
const next = createRequire(join(server, 'package.json'))('next')
const app = next({ dev: true, dir: server, hostname: '127.0.0.1', port: 0 })
await app.prepare()
const handle = app.getRequestHandler()
const listening = createServer((request, response) => {
  const port = listening.address().port
  const done = request.url === '/api/batch' ? batch(request, response, port) : handle(request, response)
  done.catch((problem) => {
    log(problem.stack)
    response.statusCode = 500
    response.end()
  })
})
listening.listen(0, '127.0.0.1', () => console.log(listening.address().port))
process.stdin.resume()
process.stdin.on('end', () => process.exit(0))
