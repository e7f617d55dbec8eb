// Listens with dcmjs-dimse on a free port of 127.0.0.1 until standard input ends, and answers C-ECHO.
//
// In, one line of JSON on standard input:
//   {reject: {result, source, reason}, serverResponse}: both optional; without `reject` associations are
//   accepted; `serverResponse` (base64) is sent as 59H, without it none is.
// Out: {port} once it listens, then for each association
//   {calling, called, identity: {type, positiveResponseRequested, primary, secondary} | null}
//   the fields in hexadecimal, as dcmjs-dimse has them: it strips spaces and NULs from their ends.
'use strict';

const dimse = require('dcmjs-dimse');
const { print, run, toField, toHex } = require('./line.js');
const { PresentationContextResult, SopClass, Status, TransferSyntax } = dimse.constants;

function identityOf(association) {
  return association.getNegotiateUserIdentity() ? {
    type: association.getUserIdentityType(),
    positiveResponseRequested: association.getUserIdentityPositiveResponseRequested(),
    primary: toHex(association.getUserIdentityPrimaryField()),
    secondary: toHex(association.getUserIdentitySecondaryField()),
  } : null;
}

function acceptVerification(association) {
  for (const { id } of association.getPresentationContexts()) {
    const context = association.getPresentationContext(id);
    if (context.getAbstractSyntaxUid() === SopClass.Verification) {
      context.setResult(PresentationContextResult.Accept, TransferSyntax.ImplicitVRLittleEndian);
    } else {
      context.setResult(PresentationContextResult.RejectAbstractSyntaxNotSupported);
    }
  }
}

class Scp extends dimse.Scp {
  constructor(socket, options) {
    super(socket, options);
    this.config = options.customOptions;
  }

  associationRequested(association) {
    const { reject, serverResponse } = this.config;
    const [calling, called] = [association.getCallingAeTitle(), association.getCalledAeTitle()];
    print({ calling, called, identity: identityOf(association) });
    if (reject) {
      this.sendAssociationReject(reject.result, reject.source, reject.reason);
      return;
    }
    if (serverResponse !== undefined) {
      association.setUserIdentityServerResponse(toField(serverResponse));
      association.setNegotiateUserIdentityServerResponse(true);
    }
    acceptVerification(association);
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, callback) {
    const response = dimse.responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }
}

const server = new dimse.Server(Scp);

function listen(config) {
  server.on('listening', () => print({ port: server.server.address().port }));
  // What is named a port goes to node's own listen(), which takes a host along with it.
  server.listen({ host: '127.0.0.1', port: 0 }, { customOptions: config });
}

dimse.log.disableAll(); // it writes to standard output
run(listen, () => server.close());
