// Measures iso_8583 on the message given in hexadecimal; prints a row as codec-bench does.
const Iso = require('iso_8583');

const hex = process.argv[2];
const message = Buffer.from(hex, 'hex');
const fixed = (length) => ({ ContentType: 'an', Label: '', LenType: 'fixed', MaxLen: length });
const formats = { 53: fixed(16), 64: fixed(8) };
const decode = () => new Iso({}, formats).getIsoJSON(message, { lenHeader: false });
const document = decode();
if (document.error) {
  console.log(`# iso_8583 2.6.7 refuses the message: ${document.error}`);
  process.exit(0);
}
const encode = () => new Iso(document, formats).getRawMessage();
const written = encode();
if (written.error || Buffer.compare(written, message) !== 0) {
  console.log(`# iso_8583 2.6.7 writes other bytes than it read: ${written.error || written.toString('hex')}`);
}
function measure(call) {
  for (let i = 0; i < 2000; i += 1) call();
  const rounds = [];
  for (let round = 0; round < 15; round += 1) {
    const began = process.hrtime.bigint();
    for (let i = 0; i < 500; i += 1) call();
    rounds.push(Number(process.hrtime.bigint() - began) / 500);
  }
  return rounds.sort((a, b) => a - b)[7];
}
const [read, wrote] = [measure(decode), measure(encode)];
console.log(`iso_8583 2.6.7\t${read.toFixed(0)}\t-\t${wrote.toFixed(0)}\t-\t${(read + wrote).toFixed(0)}`);
