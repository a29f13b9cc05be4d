// Measures iso_8583 on the message given in hexadecimal; speaks with the judge as src/work.rs does.
const readline = require('readline');
const Iso = require('iso_8583');

const message = Buffer.from(process.argv[2], 'hex');
const fixed = (length) => ({ ContentType: 'an', Label: '', LenType: 'fixed', MaxLen: length });
const formats = { 53: fixed(16), 64: fixed(8) };
const decode = () => new Iso({}, formats).getIsoJSON(message, { lenHeader: false });
const document = decode();
if (document.error) {
  console.error(`iso_8583 2.6.7 refuses the message: ${document.error}`);
  process.exit(1);
}
const encode = () => new Iso(document, formats).getRawMessage();
const written = encode();
if (written.error) {
  console.error(`iso_8583 2.6.7 does not write what it read: ${written.error}`);
  process.exit(1);
}
const same = Buffer.compare(written, message) === 0;
console.log(`iso_8583 2.6.7\t${same ? '' : 'writes other bytes than it read'}`);
readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [what, count] = line.split(' ');
  if (what === 'allocations') {
    console.log('- -');
    return;
  }
  const call = what === 'decode' ? decode : encode;
  const began = process.hrtime.bigint();
  for (let at = 0; at < Number(count); at += 1) call();
  console.log(String(process.hrtime.bigint() - began));
});
