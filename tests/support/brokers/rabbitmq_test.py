"""The RabbitMQ of the tests starts, dies, stands still and comes back with its data, beside others like it."""
import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rabbitmq  # noqa: E402

pika = rabbitmq.import_pika()


def connect(broker):
    return pika.BlockingConnection(pika.URLParameters(broker.url + "/%2F"))


def wait_for_message(broker):
    """A queue may have no leader yet in the first moments after a start."""
    deadline = time.monotonic() + 30
    while True:
        connection = connect(broker)
        method, _, body = connection.channel().basic_get("kept")
        connection.close()  # not acknowledged: it stays
        if method is not None or time.monotonic() > deadline:
            return body
        time.sleep(0.1)


class RabbitMqTest(unittest.TestCase):
    def test_data_survives_and_two_run_side_by_side(self):
        with rabbitmq.RabbitMq() as one, rabbitmq.RabbitMq() as other:
            connection = connect(one)
            channel = connection.channel()
            channel.queue_declare("kept", durable=True, arguments={"x-queue-type": "quorum"})
            channel.confirm_delivery()
            channel.basic_publish("", "kept", b"body", pika.BasicProperties(delivery_mode=2))
            one.kill()
            self.assertEqual({}, other.queues())
            one.start()
            self.assertEqual(b"body", wait_for_message(one))
            one.restart()
            self.assertEqual(b"body", wait_for_message(one))

            one.pause()
            with socket.create_connection(("127.0.0.1", one.port), timeout=5) as silent:
                silent.sendall(b"AMQP\x00\x00\x09\x01")
                silent.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    silent.recv(1)
            one.resume()
            connect(one).close()
            directory = one.directory
        self.assertFalse(os.path.exists(directory))


if __name__ == "__main__":
    unittest.main()
