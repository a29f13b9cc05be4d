// Measures receiptline on the content that `posd-sim slips` wrote: name, what, ns for a slip, bytes of it.
const fs = require("node:fs");
const path = require("node:path");
const receiptline = require("receiptline");

const content = process.argv[2];
const text = fs.readFileSync(path.join(content, "slip.receiptline"), "utf8");
const picture = "{image:" + fs.readFileSync(path.join(content, "slip.png")).toString("base64") + "}\n=\n";
const printer = { cpl: 32, encoding: "gb18030", command: "escpos", upsideDown: false, spacing: false, cutting: true };

for (const [what, document] of [["text", text], ["raster", picture]]) {
    const size = receiptline.transform(document, printer).length;
    const began = process.hrtime.bigint();
    let count = 0n;
    while (process.hrtime.bigint() - began < 300000000n) {
        receiptline.transform(document, printer);
        count += 1n;
    }
    console.log(["receiptline", what, (process.hrtime.bigint() - began) / count, size].join("\t"));
}
