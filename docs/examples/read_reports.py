#!/usr/bin/env python3
"""Reads delivery reports from RabbitMQ, as an application would (pika 1.2 or later).

usage: read_reports.py URL QUEUE ROUTING_KEY... [--count N]

    read_reports.py amqp://guest:guest@localhost bounces "email.bounced.#" "email.complained.#"

makes the durable queue `bounces`, bound to what the routing keys say, and prints one line per event.
"""
import argparse
import json

import pika


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("url")
    arguments.add_argument("queue")
    arguments.add_argument("keys", nargs="+", help="email.<what>.<tenant>.<pool>; * is one word, # any number of them")
    arguments.add_argument("--count", type=int, help="stop after so many events")
    options = arguments.parse_args()

    connection = pika.BlockingConnection(pika.URLParameters(options.url))
    channel = connection.channel()
    channel.queue_declare(options.queue, durable=True, arguments={"x-queue-type": "quorum",
                                                                  "x-max-length-bytes": 1 << 30})
    for key in options.keys:
        channel.queue_bind(options.queue, "postfleet.reports", key)
    channel.basic_qos(prefetch_count=200)

    seen = set()  # in a real application: a unique index on the id, where the event is stored
    for method, properties, body in channel.consume(options.queue):
        event = json.loads(body)
        if event["id"] not in seen:  # events come at least once
            seen.add(event["id"])
            store(event)
        channel.basic_ack(method.delivery_tag)  # after it is stored
        if options.count and len(seen) == options.count:
            break
    connection.close()


def store(event):
    data = event["data"]
    reply = data.get("delivery", {})
    print(event["type"], data.get("recipient", "-"), data.get("bounce", {}).get("category", "-"),
          reply.get("code", "-"), reply.get("response", "-"), flush=True)


if __name__ == "__main__":
    main()
