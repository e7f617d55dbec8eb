// Opens one association with dcmjs-dimse, sends a C-ECHO, and a C-FIND if asked to, and prints what it saw as one line of JSON.
//
// In, one line of JSON on standard input (argv would show passcodes to every process):
//   {host, port, called, calling, find, identity: {type, primary, secondary, positiveResponseRequested}}
//   the fields in base64; without `identity` none is sent.
// Out: {outcome: "accepted" | "rejected" | "aborted" | "failed", result, source, reason, serverResponse, echo, error}
//   serverResponse in hexadecimal, null where there was no 59H; echo is the C-ECHO status.
//   find, where it was asked for, is the last status of the C-FIND.
'use strict';

const dimse = require('dcmjs-dimse');
const { print, run, toField, toHex } = require('./line.js');

function identityOf({ identity }) {
  return identity && {
    type: identity.type,
    primaryField: toField(identity.primary),
    secondaryField: toField(identity.secondary),
    positiveResponseRequested: identity.positiveResponseRequested,
  };
}

function associate(config) {
  const seen = { outcome: 'failed', serverResponse: null, echo: null };
  const echo = new dimse.requests.CEchoRequest();
  echo.on('response', (response) => (seen.echo = response.getStatus()));

  const client = new dimse.Client();
  client.addRequest(echo);
  if (config.find) {
    const find = dimse.requests.CFindRequest.createStudyFindRequest({ StudyInstanceUID: '' });
    find.on('response', (response) => (seen.find = response.getStatus()));
    client.addRequest(find);
  }
  client.on('associationAccepted', (association) => {
    seen.outcome = 'accepted';
    if (association.getNegotiateUserIdentityServerResponse()) {
      seen.serverResponse = toHex(association.getUserIdentityServerResponse());
    }
  });
  client.on('associationRejected', (rejection) => Object.assign(seen, rejection, { outcome: 'rejected' }));
  client.on('networkError', (error) => (seen.error = error.message));
  client.on('closed', () => print(seen));

  const { host, port, calling, called } = config;
  client.send(host, port, calling, called, { userIdentity: identityOf(config) });
  client.network.on('abort', (abort) => Object.assign(seen, abort, { outcome: 'aborted' }));
}

dimse.log.disableAll(); // it writes to standard output
run(associate, () => {});
