// What the scripts here share: a configuration in, one JSON document a line out.
'use strict';

const readline = require('readline');

// dcmjs-dimse writes the fields of an identity one character as one octet. latin1 maps all 256 octets to
// themselves, so that any octets pass, UTF-8 and Kerberos tickets included; a character above 255 would throw.
const toField = (base64) => Buffer.from(base64 || '', 'base64').toString('latin1');
const toHex = (field) => Buffer.from(field, 'latin1').toString('hex');

const print = (document) => process.stdout.write(JSON.stringify(document) + '\n');

// Calls `start` with the first line of standard input, parsed, and `end` once standard input is closed.
function run(start, end) {
  const lines = readline.createInterface({ input: process.stdin });
  lines.once('line', (line) => start(JSON.parse(line)));
  lines.once('close', end);
}

module.exports = { print, run, toField, toHex };
