// What Iglu Central's schemas ask for (github.com/snowplow/iglu-central, Apache-2.0; read 2026-11), written down anew as its facts: which fields
// there are, of which type, within which bounds, and which are needed. Nothing else may be there. They are JSON Schema, draft 4.

const ADDRESS = { type: 'string', pattern: '^iglu:[a-zA-Z0-9-_.]+/[a-zA-Z0-9-_]+/[a-zA-Z0-9-_]+/[0-9]+-[0-9]+-[0-9]+$' }

const text = (maxLength) => ({ type: 'string', maxLength })
const maybe = (schema) => ({ ...schema, type: [schema.type, 'null'] })
const amount = { type: 'number', minimum: 0, maximum: 9999999, multipleOf: 0.01 }
const count = { type: 'integer', minimum: 0, maximum: 9999999 }
const currency = { type: 'string', minLength: 3, maxLength: 3 }
const exactly = (properties, required) => ({ type: 'object', properties, required, additionalProperties: false })
const selfDescribing = exactly({ schema: ADDRESS, data: {} }, ['schema', 'data'])

// All of them texts.
const OF_AN_EVENT = `tna aid p dtm tz e tid eid tv duid nuid uid vid ip res url page refr fp ctype cookie lang
  f_pdf f_qt f_realp f_wma f_dir f_fla f_java f_gears f_ag cd ds cs vp mac pp_mix pp_max pp_miy pp_may ad_ba ad_ca ad_ad ad_uid
  tr_id tr_af tr_tt tr_tx tr_sh tr_ci tr_st tr_co tr_cu ti_id ti_sk ti_nm ti_na ti_ca ti_pr ti_qu ti_cu sa sn st sp
  se_ca se_ac se_la se_pr se_va ue_na ue_pr ue_px co cx ua tnuid stm sid ttm`.split(/\s+/)

const SNOWPLOW = 'iglu:com.snowplowanalytics.snowplow'
const SHOP = `${SNOWPLOW}.ecommerce`

export const PAYLOAD = `${SNOWPLOW}/payload_data/jsonschema/1-0-4`
export const UNSTRUCT = `${SNOWPLOW}/unstruct_event/jsonschema/1-0-0`
export const CONTEXTS = [`${SNOWPLOW}/contexts/jsonschema/1-0-0`, `${SNOWPLOW}/contexts/jsonschema/1-0-1`]
export const SELF_DESCRIBING = selfDescribing

export const SCHEMAS = {
  [PAYLOAD]: {
    type: 'array',
    minItems: 1,
    items: exactly(Object.fromEntries(OF_AN_EVENT.map((name) => [name, { type: 'string' }])), ['tv', 'p', 'e']),
  },
  [UNSTRUCT]: selfDescribing,
  // The older of the two wants at least one.
  [CONTEXTS[0]]: { type: 'array', minItems: 1, items: selfDescribing },
  [CONTEXTS[1]]: { type: 'array', items: selfDescribing },
  [`${SHOP}/snowplow_ecommerce_action/jsonschema/1-0-2`]: exactly(
    {
      type: {
        enum: ['add_to_cart', 'remove_from_cart', 'product_view', 'list_click', 'list_view', 'promo_click', 'promo_view', 'checkout_step', 'transaction', 'refund', 'trns_error'],
      },
      name: maybe(text(128)),
    },
    ['type'],
  ),
  [`${SHOP}/product/jsonschema/1-0-0`]: exactly(
    {
      id: text(4096),
      name: maybe(text(4096)),
      category: text(4096),
      price: amount,
      list_price: maybe(amount),
      quantity: maybe(count),
      size: maybe(text(256)),
      variant: maybe(text(256)),
      brand: maybe(text(256)),
      inventory_status: maybe(text(256)),
      position: maybe(count),
      currency,
      creative_id: maybe(text(256)),
    },
    ['id', 'category', 'price', 'currency'],
  ),
  [`${SHOP}/transaction/jsonschema/1-0-0`]: exactly(
    {
      transaction_id: text(4096),
      revenue: amount,
      currency,
      payment_method: text(128),
      total_quantity: count,
      tax: maybe(amount),
      shipping: maybe(amount),
      discount_code: maybe(text(99)),
      discount_amount: maybe(amount),
      credit_order: maybe({ type: 'boolean' }),
    },
    ['transaction_id', 'revenue', 'payment_method', 'currency', 'total_quantity'],
  ),
  [`${SHOP}/refund/jsonschema/1-0-0`]: exactly(
    { transaction_id: text(4096), currency, refund_amount: amount, refund_reason: maybe(text(4096)) },
    ['transaction_id', 'currency', 'refund_amount'],
  ),
}
