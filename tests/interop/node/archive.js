// An archive of dcmjs-dimse: keeps what is stored, finds it and moves it, until standard input ends.
//
// In, one line of JSON on standard input: {destinations: {WS_1: 11112}, tls: {cert, key, ca}}: the ports of 127.0.0.1
// where each AE title is, and PEM for mutual TLS, which there is not without it.
// Out: {port} once it listens. Associations are accepted and their identities not looked at.
'use strict';

const dimse = require('dcmjs-dimse');
const { print, run } = require('./line.js');
const { Client, Dataset } = dimse;
const { CEchoResponse, CFindResponse, CMoveResponse, CStoreResponse } = dimse.responses;
const { CStoreRequest } = dimse.requests;
const { PresentationContextResult, Status, TransferSyntax } = dimse.constants;

const kept = new Map();
const TAKEN = [TransferSyntax.ExplicitVRLittleEndian, TransferSyntax.ImplicitVRLittleEndian];

function matching(request) {
  const { PatientID } = request.getDataset().getElements();
  return [...kept.values()].filter((dataset) => !PatientID || dataset.getElement('PatientID') === PatientID);
}

function answered(response, status) {
  response.setStatus(status);
  return response;
}

class Archive extends dimse.Scp {
  associationRequested(association) {
    for (const { id } of association.getPresentationContexts()) {
      const context = association.getPresentationContext(id);
      const syntax = TAKEN.find((each) => context.getTransferSyntaxUids().includes(each));
      if (syntax) context.setResult(PresentationContextResult.Accept, syntax);
      else context.setResult(PresentationContextResult.RejectTransferSyntaxesNotSupported);
    }
    this.sendAssociationAccept();
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }

  cEchoRequest(request, callback) {
    callback(answered(CEchoResponse.fromRequest(request), Status.Success));
  }

  cStoreRequest(request, callback) {
    kept.set(request.getAffectedSopInstanceUid(), request.getDataset());
    callback(answered(CStoreResponse.fromRequest(request), Status.Success));
  }

  cFindRequest(request, callback) {
    const asked = Object.keys(request.getDataset().getElements()).filter((name) => !name.startsWith('_'));
    const found = matching(request).map((dataset) => {
      const response = answered(CFindResponse.fromRequest(request), Status.Pending);
      response.setDataset(new Dataset(Object.fromEntries(asked.map((name) => [name, dataset.getElement(name) ?? '']))));
      return response;
    });
    callback([...found, answered(CFindResponse.fromRequest(request), Status.Success)]);
  }

  cMoveRequest(request, callback) {
    const client = new Client();
    const found = matching(request);
    found.forEach((dataset) => client.addRequest(new CStoreRequest(dataset)));
    client.on('closed', () => {
      const response = answered(CMoveResponse.fromRequest(request), Status.Success);
      response.setCompleted(found.length);
      callback([response]);
    });
    const destination = request.getCommandDataset().getElement('MoveDestination').trim();
    client.send('127.0.0.1', config.destinations[destination], 'ARCHIVE', destination);
  }
}

let config;
const server = new dimse.Server(Archive);

function listen(given) {
  config = given;
  server.on('listening', () => print({ port: server.server.address().port }));
  // What is named a port goes to node's own listen(), which takes a host along with it.
  const { cert, key, ca } = given.tls ?? {};
  const securityOptions = given.tls && { cert, key, ca, requestCert: true, rejectUnauthorized: true };
  server.listen({ host: '127.0.0.1', port: 0 }, securityOptions ? { securityOptions } : {});
}

dimse.log.disableAll(); // it writes to standard output
run(listen, () => server.close());
