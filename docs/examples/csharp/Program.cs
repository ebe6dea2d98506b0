// Submits mail to Postfleet by gRPC (docs/SUBMITTING_BY_GRPC.md).
using Grpc.Core;
using Grpc.Net.Client;
using Postfleet.V1;

if (args.Length < 3)
{
    Console.Error.WriteLine("usage: dotnet run -- http://HOST:PORT SENDER RECIPIENT...");
    return 2;
}

using var channel = GrpcChannel.ForAddress(args[0]);  // https:// with TLS
var service = new SubmissionService.SubmissionServiceClient(channel);

Submission OrderMail(string recipient, int number) => new()
{
    From = new Address { Address_ = args[1], Name = "The Shop" },
    To = { new Address { Address_ = recipient } },
    Subject = "Your order",
    Text = "It is on its way.",
    Html = "<p>It is on its way.</p>",
    Job = "orders",
    Metadata = { ["order"] = number.ToString() },
    IdempotencyKey = $"order-{number}",
};

// One mail. With a login: new Metadata { { "authorization", "Basic " + Convert.ToBase64String(…"user:password") } }
try
{
    var sent = await service.SendAsync(OrderMail(args[2], 1), deadline: DateTime.UtcNow.AddSeconds(30));
    Console.WriteLine($"sent {sent.MessageId}");
}
catch (RpcException failure) when (failure.StatusCode is StatusCode.Unavailable or StatusCode.DeadlineExceeded)
{
    Console.WriteLine($"try again, with the same key: {failure.Status.Detail}");
    return 75;
}

// Many mails. Results come in an order of their own; whoever only writes and never reads them would wait for ever.
using var call = service.SendMany(deadline: DateTime.UtcNow.AddMinutes(10));
var results = Task.Run(async () =>
{
    await foreach (var result in call.ResponseStream.ReadAllAsync())
    {
        Console.WriteLine($"{result.Outcome} order-{result.Place + 2} {result.MessageId}{result.Problem}");
    }
});
for (var number = 2; number < args.Length - 1; number++)
{
    await call.RequestStream.WriteAsync(OrderMail(args[number + 1], number));
}
await call.RequestStream.CompleteAsync();
await results;
return 0;
