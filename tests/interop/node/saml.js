// Assertions issued by npm saml (Saml20), as the tests configure them.
//
// Each line of standard input is what Saml20.create takes, with "cert" and "key" as PEM. Each is answered with a line
// of standard output: {"assertion": the signed assertion, base64}, or {"error": its message}. It ends with its input.
'use strict';

const { createInterface } = require('readline');
const { Saml20 } = require('saml');
const { print } = require('./line');

createInterface({ input: process.stdin }).on('line', (line) => {
  Saml20.create(JSON.parse(line), (error, assertion) => {
    print(error ? { error: error.message } : { assertion: Buffer.from(assertion).toString('base64') });
  });
});
