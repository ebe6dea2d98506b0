// Sends three messages on one connection: text with dots, a large attachment, and one with DSN. argv: the port.
const nodemailer = require("nodemailer");

const transport = nodemailer.createTransport({
    host: "127.0.0.1", port: Number(process.argv[2]), secure: false, ignoreTLS: true, pool: true, maxConnections: 1,
});
const from = "Sender <a@src.test>";

async function main() {
    const replies = [];
    for (const message of [
        {from, to: "dots@dest.test", subject: "Grüße", text: "One.\n.Two.\n..Three\n"},
        {from, to: ["large@dest.test"], subject: "large", text: "see there",
         attachments: [{filename: "zeros.bin", content: Buffer.alloc(1 << 20)}]},
        {from, to: "dsn@dest.test", subject: "dsn", text: "x", dsn: {id: "order7", return: "headers", notify: ["failure", "delay"], recipient: "a@src.test"}},
    ]) {
        replies.push((await transport.sendMail(message)).response);
    }
    transport.close();
    console.log(JSON.stringify(replies));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
