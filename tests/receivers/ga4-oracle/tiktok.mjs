// Writes a line of JSON for each way in which somebody may write themselves: the digest that Segment's own code sends TikTok of it.
import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const theirs = require('@segment/action-destinations/dist/destinations/tiktok-conversions/reportWebEvent/formatter.js')

const MAKES = {
  em: (said) => theirs.formatEmails([said])[0],
  ph: (said) => theirs.formatPhones([said])[0],
  fn: (said) => theirs.formatString(said),
  ln: (said) => theirs.formatString(said),
  zp: (said) => theirs.formatString(said),
}
const SAID = {
  em: ['john_smith@gmail.com', 'John_Smith@Gmail.com', 'JANE.DOE+shop@mail.example.org', "o'neill@mail.example"],
  ph: ['+16505551212', '1 (650) 555-1212', '+33 6 12 34 56 78', '49-170-1234567', '+4420 7946 0958', '+1 650 555 1212 12345'],
  fn: ['Mary', 'Mary Ann', 'Valéry', 'ÉLODIE', "D'Arcy", 'Jean-Luc', '정'],
  ln: ['Smith', 'van der Berg', 'MÜLLER', "O'Neill", '张'],
  zp: ['94035', '94035-1234', 'M1 1AE', '75001'],
}

for (const [part, all] of Object.entries(SAID)) for (const said of all) console.log(JSON.stringify({ part, said, theirs: MAKES[part](said) }))
