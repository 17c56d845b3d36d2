package example.payments;

import java.net.InetSocketAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** A command line: options of the form "--name value", and what else there is. */
record Arguments(Map<String, String> options, List<String> words) {
    /** Reads one; an option that has no default is a mistake. Throws IllegalArgumentException. */
    static Arguments parse(String[] given, Map<String, String> defaults) {
        Map<String, String> options = new HashMap<>(defaults);
        List<String> words = new ArrayList<>();
        for (int i = 0; i < given.length; i++) {
            if (!given[i].startsWith("--")) {
                words.add(given[i]);
            } else if (i + 1 < given.length && options.containsKey(given[i].substring(2))) {
                options.put(given[i].substring(2), given[++i]);
            } else {
                throw new IllegalArgumentException(given[i] + " is no option with a value; there are " + defaults.keySet());
            }
        }
        return new Arguments(options, words);
    }

    String get(String option) {
        return options.get(option);
    }

    /** Reads HOST:PORT. */
    InetSocketAddress address(String option) {
        String[] parts = get(option).split(":(?=[0-9]+$)");
        if (parts.length != 2) {
            throw new IllegalArgumentException("--" + option + " must be HOST:PORT");
        }
        return new InetSocketAddress(parts[0], Integer.parseInt(parts[1]));
    }
}
