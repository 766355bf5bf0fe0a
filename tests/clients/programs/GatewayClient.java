// An app that calls the gateway with Java's HttpClient: tests/clients/gateway_clients.py says how it is run.
//
// The client is the default one, which asks for an upgrade to HTTP/2, unless a property names another version:
// java -Dversion=HTTP_1_1. Java 11 or later.

import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.SequenceInputStream;
import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

public class GatewayClient {
    public static void main(String[] args) throws Exception {
        String version = System.getProperty("version");
        HttpClient client = version == null
            ? HttpClient.newHttpClient()
            : HttpClient.newBuilder().version(HttpClient.Version.valueOf(version)).build();
        for (String step : List.of(args).subList(1, args.length)) {
            String[] parts = step.split("[: ]", 3);
            HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(args[0] + parts[2]));
            request.header("Sidecar-Request", "true");
            send(request, parts[0], Integer.parseInt(parts[1]));
            print(client.send(request.build(), BodyHandlers.ofByteArray()));
        }
    }

    static void send(HttpRequest.Builder request, String kind, int size) {
        if (kind.equals("json")) {
            request.header("Content-Type", "application/json").POST(json(size));
        } else if (kind.equals("stream")) {
            request.POST(BodyPublishers.ofInputStream(() -> pieces(size)));
        } else {
            request.method(kind.toUpperCase(), BodyPublishers.noBody());
        }
    }

    static BodyPublisher json(int size) {
        String text = "\u00e9\u20ac" + "x".repeat(size);
        return BodyPublishers.ofString(
            "{\"partnerReference\": \"order-4711\", \"amount\": 100, \"text\": \"" + text + "\"}");
    }

    static InputStream pieces(int count) {
        List<InputStream> all = IntStream.range(0, count).mapToObj(GatewayClient::piece)
            .collect(Collectors.toList());
        return new SequenceInputStream(Collections.enumeration(all));
    }

    static InputStream piece(int place) {
        byte[] piece = new byte[100_000];
        Arrays.fill(piece, (byte) (97 + place % 26));
        return new ByteArrayInputStream(piece);
    }

    static void print(HttpResponse<byte[]> response) throws Exception {
        byte[] body = response.body();
        byte[] digest = MessageDigest.getInstance("SHA-256").digest(body);
        String fields = response.headers().map().entrySet().stream()
            .map(field -> field.getKey() + ": " + String.join(", ", field.getValue()))
            .collect(Collectors.joining("\n"));
        System.out.printf("%d %d %064x %s %s%n", response.statusCode(), body.length, new BigInteger(1, digest),
            base64(fields.getBytes()), base64(Arrays.copyOf(body, Math.min(body.length, 65_536))));
    }

    static String base64(byte[] text) {
        return Base64.getEncoder().encodeToString(text);
    }
}
