// Compares what the ga4 destination makes of the events of a shop (the golden file, which the Rust tests hold it to) with what Segment's own
// mapping code makes of the same events. Every difference must be one of those below; one that is gone is an error, too. What they mean for a
// reader stands in docs/destinations/ga4.md.
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { isDeepStrictEqual } from 'node:util'

const require = createRequire(import.meta.url)
const nock = require('nock')
const { createTestEvent, createTestIntegration } = require('@segment/actions-core')
const oracle = createTestIntegration(require('@segment/action-destinations/dist/destinations/google-analytics-4/index.js').default)

const GOLDEN = new URL('../../golden/destination/ga4/the_events_of_a_shop_are_said_whole.json', import.meta.url)

// Where both say it, but in different places or not at all, and why ours is as it is.
const EXPLAINED = {
  timestamp_micros: 'ours stands beside each name, since a request of ours has events of different times; theirs has one event',
  consent: 'ours is always said: left out, Google would take it from elsewhere. Theirs is left to a mapping',
}
// What their mapping leaves out as it comes, though the action has a field for it; ours says what was said. The rest is compared with these
// fields mapped.
const UNMAPPED = { add_payment_info: ['coupon'], refund: ['coupon', 'tax'] }

// GA4 name -> [Segment action, Segment's spec event]
const ACTIONS = {
  view_item_list: ['viewItemList', 'Product List Viewed'],
  view_item: ['viewItem', 'Product Viewed'],
  add_to_wishlist: ['addToWishlist', 'Product Added to Wishlist'],
  add_to_cart: ['addToCart', 'Product Added'],
  remove_from_cart: ['removeFromCart', 'Product Removed'],
  view_cart: ['viewCart', 'Cart Viewed'],
  begin_checkout: ['beginCheckout', 'Checkout Started'],
  add_payment_info: ['addPaymentInfo', 'Payment Info Entered'],
  purchase: ['purchase', 'Order Completed'],
  refund: ['refund', 'Order Refunded'],
}

// The same event as Segment's e-commerce specification says it. Its mappings of single products read the items that they are given.
function spec(fields) {
  const products = fields.items.map(({ id, ...rest }) => ({ product_id: id, ...rest }))
  return {
    currency: fields.currency,
    value: fields.value,
    total: fields.value,
    revenue: fields.value,
    order_id: fields.transaction_id,
    tax: fields.tax,
    shipping: fields.shipping,
    coupon: fields.coupon,
    products,
  }
}

async function theirs(fields, clientId, said) {
  const [action, event] = ACTIONS[fields.name]
  let sent
  nock('https://www.google-analytics.com')
    .post(/mp\/collect/)
    .reply((_uri, body) => {
      sent = body
      return [204]
    })
  const items = { '@arrayPath': ['$.properties.products', {
    item_id: { '@path': '$.product_id' }, item_name: { '@path': '$.name' }, item_brand: { '@path': '$.brand' },
    item_category: { '@path': '$.category' }, item_variant: { '@path': '$.variant' },
    price: { '@path': '$.price' }, quantity: { '@path': '$.quantity' },
  }] }
  const amounts = Object.fromEntries(said.map((name) => [name, { '@path': `$.properties.${name}` }]))
  await oracle.testAction(action, {
    event: createTestEvent({ type: 'track', userId: clientId, event, timestamp: fields.time, properties: spec(fields) }),
    settings: { measurementId: 'G-ABC123DEF4', apiSecret: 'secret' },
    mapping: { items, ...amounts },
    useDefaultMappings: true,
  })
  return sent
}

nock.disableNetConnect()
const { disclosures, parcels } = JSON.parse(await readFile(GOLDEN, 'utf8'))
if (parcels.length !== 1 || disclosures.length < 10) throw new Error('the golden file is not the one that this was written for')
const ours = JSON.parse(parcels[0].body.join('\n'))
const seen = new Set()
let wrong = 0
for (const [index, { fields }] of disclosures.entries()) {
  const amounts = ['coupon', 'shipping', 'tax', 'value'].filter((name) => fields[name] !== undefined)
  const asItComes = await theirs(fields, ours.client_id, [])
  const unmapped = amounts.filter((name) => !(name in asItComes.events[0].params))
  if (!isDeepStrictEqual(unmapped, UNMAPPED[fields.name] ?? [])) wrong += complain(fields.name, 'what their mapping leaves out', unmapped, UNMAPPED[fields.name])
  const reference = await theirs(fields, ours.client_id, amounts)
  const mine = { client_id: ours.client_id, consent: ours.consent, events: [ours.events[index]] }
  if ('timestamp_micros' in mine.events[0] && 'timestamp_micros' in reference) {
    if (mine.events[0].timestamp_micros !== reference.timestamp_micros) wrong += complain(fields.name, 'timestamp_micros', mine, reference)
    seen.add('timestamp_micros')
    delete mine.events[0].timestamp_micros
    delete reference.timestamp_micros
  }
  if ('consent' in mine && !('consent' in reference)) {
    seen.add('consent')
    delete mine.consent
  }
  if (!isDeepStrictEqual(mine, reference)) wrong += complain(fields.name, 'the event', mine, reference)
}
for (const name of Object.keys(EXPLAINED)) if (!seen.has(name)) wrong += complain('every event', `${name} no longer differs`)
console.log(`${disclosures.length} events compared, ${wrong} unexplained differences; explained:`)
for (const [name, why] of Object.entries(EXPLAINED)) console.log(`  ${name}: ${why}`)
for (const [name, fields] of Object.entries(UNMAPPED)) console.log(`  ${name}: their mapping, as it comes, leaves out ${fields.join(' and ')}`)
process.exit(wrong === 0 ? 0 : 1)

function complain(event, what, mine, reference) {
  console.error(`${event}: ${what}\n  ours:   ${JSON.stringify(mine)}\n  theirs: ${JSON.stringify(reference)}`)
  return 1
}
