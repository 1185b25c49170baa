// Reads bodies for a collector, one a line, and writes a line of JSON for each: which of Iglu Central's schemas it was held against, and what they
// find wrong with it. A schema of Snowplow's own that is not known here is a fault; one of anybody else's is theirs to check. At the end, each
// kind of what was right is broken in every way that its schema knows, and how many of those breaks were not seen is written: none.
import { readFileSync } from 'node:fs'
import Draft4 from 'ajv-draft-04'
import { CONTEXTS, PAYLOAD, SCHEMAS, SELF_DESCRIBING, UNSTRUCT } from './schemas.mjs'

// Snowplow's own validator counts in decimals; a float's 0.01 has to be told that.
const ajv = new Draft4({ allErrors: true, multipleOfPrecision: 6, allowUnionTypes: true })
const validators = new Map(Object.entries(SCHEMAS).map(([address, schema]) => [address, ajv.compile(schema)]))
const isSelfDescribing = ajv.compile(SELF_DESCRIBING)
// Other people's, that a site's own settings name: what is in them is the site's.
const NAMED_BY_THE_SITE = new Set(['iglu:com.snowplowanalytics.snowplow/web_page/jsonschema/1-0-0'])

// One right value of each schema, to be broken.
const right = new Map()

function hold(described, found, held) {
  if (!isSelfDescribing(described)) {
    found.push(`not self-describing: ${JSON.stringify(described)}`)
    return undefined
  }
  const { schema, data } = described
  held.push(schema)
  const validate = validators.get(schema)
  if (!validate) {
    if (schema.startsWith('iglu:com.snowplowanalytics.') && !NAMED_BY_THE_SITE.has(schema)) found.push(`${schema} is not known here`)
    return data
  }
  if (validate(data)) {
    if (!right.has(schema) || JSON.stringify(data).length > JSON.stringify(right.get(schema)).length) right.set(schema, data)
  } else {
    for (const { instancePath, message } of validate.errors) found.push(`${schema}${instancePath} ${message}: ${JSON.stringify(data)}`)
  }
  return data
}

function expect(described, addresses, found) {
  if (!addresses.includes(described?.schema)) found.push(`${described?.schema} where there should be ${addresses.join(' or ')}`)
}

function judge(body) {
  const [found, held] = [[], []]
  expect(body, [PAYLOAD], found)
  for (const event of hold(body, found, held) ?? []) {
    if (event.ue_pr !== undefined) {
      const described = JSON.parse(event.ue_pr)
      expect(described, [UNSTRUCT], found)
      hold(hold(described, found, held), found, held)
    }
    if (event.co !== undefined) {
      const described = JSON.parse(event.co)
      expect(described, CONTEXTS, found)
      for (const entity of hold(described, found, held) ?? []) hold(entity, found, held)
    }
    if ((event.e === 'ue') !== (event.ue_pr !== undefined)) found.push('an event with a description is of the kind ue, and no other is')
    if (event.e === 'se' && !(event.se_ca && event.se_ac)) found.push('a structured event has a category and an action')
    if (!['pv', 'pp', 'se', 'ue', 'tr', 'ti'].includes(event.e)) found.push(`there is no kind ${event.e}`)
  }
  return { held, found }
}

/** A value with each field taken away, each made another type, and one added that is nobody's; wherever the schema speaks of it. */
function* broken(schema, data) {
  const { items, properties, required } = schema
  if (items) {
    if (schema.minItems) yield []
    for (const one of broken(items, data[0])) yield [one, ...data.slice(1)]
    return
  }
  for (const name of required) {
    const { [name]: _, ...others } = data
    yield others
  }
  for (const [name, of] of Object.entries(properties)) {
    if (!(name in data) || Object.keys(of).length === 0) continue
    yield { ...data, [name]: [] }
    if (of.maxLength) yield { ...data, [name]: 'x'.repeat(of.maxLength + 1) }
    if (of.multipleOf) yield { ...data, [name]: 1.005 }
    if (of.minimum === 0) yield { ...data, [name]: -1 }
    if (of.enum || of.pattern) yield { ...data, [name]: 'nothing of the kind' }
  }
  yield { ...data, nobodys: 'x' }
}

for (const line of readFileSync(0, 'utf8').split('\n').filter(Boolean)) console.log(JSON.stringify(judge(JSON.parse(line))))
let breaks = 0
const unseen = []
for (const [address, data] of right) {
  for (const wrong of broken(SCHEMAS[address], data)) {
    breaks += 1
    if (validators.get(address)(wrong)) unseen.push(`${address}: ${JSON.stringify(wrong)}`)
  }
}
console.log(JSON.stringify({ schemas: [...right.keys()], breaks, unseen }))
