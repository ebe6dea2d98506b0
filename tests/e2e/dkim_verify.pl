# Verifies the RSA signatures of message files with Mail::DKIM, asking the name server at 127.0.0.1.
#
#   dkim_verify.pl PORT FILE…      one line per file: how many RSA signatures are good, or what is wrong
use strict;
use warnings;
use Mail::DKIM::DNS;
use Mail::DKIM::Verifier;
use Net::DNS::Resolver;

my $port = shift @ARGV;
Mail::DKIM::DNS::resolver(Net::DNS::Resolver->new(nameservers => ['127.0.0.1'], port => $port, recurse => 1));
for my $path (@ARGV) {
    open(my $file, '<:raw', $path) or die "$path: $!";
    my $verifier = Mail::DKIM::Verifier->new();
    local $/ = undef;
    $verifier->PRINT(scalar <$file>);
    $verifier->CLOSE();
    my ($good, $bad) = (0, '');
    for my $signature ($verifier->signatures) {
        next if $signature->algorithm ne 'rsa-sha256';
        if ($signature->result eq 'pass') { $good++ } else { $bad .= ' ' . $signature->result_detail }
    }
    print $bad eq '' ? "$good\n" : "bad$bad\n";
}
