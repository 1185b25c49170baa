// Writes a line of JSON for each way in which somebody may write themselves: what Meta's business SDK and Meta's parameter builder make of it, and
// whose digest ours follows where these two differ. `null`: it is refused, or left out.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const sdk = require('facebook-nodejs-business-sdk/dist/cjs.js')
const { getNormalizedAndHashedPII } = require('capi-param-builder-nodejs/src/piiUtil/PIIUtil.js')

const BUILDERS = { em: 'email', ph: 'phone', fn: 'first_name', ln: 'last_name', ct: 'city', st: 'state', zp: 'zip_code', country: 'country' }

// Each field through the SDK's own event: what would be sent.
function bySdk(part, said) {
  const { ServerEvent, UserData } = sdk
  const user = new UserData()
  const set = { em: 'setEmail', ph: 'setPhone', fn: 'setFirstName', ln: 'setLastName', ct: 'setCity', st: 'setState', zp: 'setZip', country: 'setCountry' }
  try {
    user[set[part]](said)
    const sent = new ServerEvent().setEventName('Lead').setEventTime(1790000000).setUserData(user).normalize().user_data[part]
    return (Array.isArray(sent) ? sent[0] : sent) ?? null
  } catch {
    return null
  }
}

function byBuilder(part, said) {
  const hashed = getNormalizedAndHashedPII(said, BUILDERS[part])
  // Behind the digest stands which library made it.
  return hashed ? hashed.split('.')[0] : null
}

const BOTH = {
  em: ['john_smith@gmail.com', ' John_Smith@Gmail.com ', 'JANE.DOE+shop@mail.example.org', 'a@b.co', 'x-y_z@sub.domain.example', "o'neill@mail.example", 'jane', '@mail.example', 'jane@', ''],
  ph: ['16505551212', '+1 (650) 555-1212', '+33 6 12 34 56 78', '0033612345678', '+49-170-1234567', '44 20 7946 0958', '+81 3-1234-5678', '  16505551212  '],
  fn: ['Mary', ' mary ', 'Valéry', 'ÉLODIE', 'Zoë', '정', 'John', 'Łukasz', 'Ágnes', 'İpek'],
  ln: ['Smith', 'MÜLLER', 'Ñandú', 'Øster', 'Ωmega', '张', 'Dvořák', 'Björk', 'Nguyễn', 'Straße'],
  ct: ['Paris', 'New York', 'st. gallen', 'SAN FRANCISCO', 'Aix-en-Provence', 'Berlin (Mitte)', 'London', ' Rome ', 'los angeles'],
  st: ['CA', 'ca', ' ny ', 'TX'],
  zp: ['94035', '94035-1234', '75001', ' 10115 ', 'AB', '1', '1010', '00-950', '12345-6789'],
  country: ['FR', 'fr', ' us ', 'DE', 'jp', 'GB'],
}

// They differ: [said, whose is followed].
const EITHER = {
  // The SDK leaves dots, which no number has.
  ph: [['1.650.555.1212', 'builder'], ['+33.6.12.34.56.78', 'builder'], ['00016505551212', 'builder'], ['12345', 'sdk']],
  // Meta's documents say: no punctuation.
  fn: [['Mary Ann', 'builder'], ['Jean-Luc', 'builder'], ["D'Arcy", 'builder'], ['J.', 'builder']],
  ln: [["O'Neill", 'builder'], ['van der Berg', 'builder'], ['Smith-Jones', 'builder'], ['St. John', 'builder']],
  // Meta's documents say: in UTF-8; the builder drops letters that are not Latin.
  ct: [['München', 'sdk'], ['São Paulo', 'sdk'], ['Zürich', 'sdk'], ['東京', 'sdk'], ['Lyon 7', 'sdk']],
  st: [['Île-de-France', 'sdk'], ['Bayern', 'sdk']],
  zp: [['M1 1AE', 'sdk'], ['SW1A 2AA', 'sdk']],
  country: [],
}

for (const [part, all] of Object.entries(BOTH)) for (const said of all) write(part, said)
for (const [part, all] of Object.entries(EITHER)) for (const [said, follow] of all) write(part, said, follow)

function write(part, said, follow) {
  console.log(JSON.stringify({ part, said, sdk: bySdk(part, said), builder: byBuilder(part, said), follow }))
}
