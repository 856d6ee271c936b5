"""The names that learners give to pieces and parameters: what a piece is, and what a parameter stands for."""

import re

PIECES = {
    "softmax": "softmax stable_softmax softmax_stable log_softmax logsoftmax",
    "one_hot": "one_hot onehot to_one_hot to_onehot one_hot_encode one_hot_encoding make_one_hot one_hot_labels "
    "convert_to_one_hot encode",
    "net": "net model network forward feedforward feed_forward predict_proba predict_probabilities scores logits "
    "linear layer clf classifier hypothesis linreg predict_probs netz modell modele reseau propager propagate "
    "vorwaerts",
    "loss": "cross_entropy loss criterion loss_fn ce_loss crossentropy cross_entropy_loss nll nll_loss loss_func "
    "cost sparse_categorical_crossentropy categorical_crossentropy loss_function softmax_loss softmax_cross_entropy "
    "ce objective loss_and_gradients loss_and_grad loss_and_grads loss_grad lossfn xent perte verlust kosten perdida",
    "gradients": "gradients gradient grad grads backward backprop loss_gradient gradient_fn grad_fn backward_pass "
    "dloss back_prop back_propagation backpropagation gradienten gradientes ableitung score_function",
    "sgd": "sgd step update sgd_update gradient_step update_params update_parameters gradient_descent update_weights "
    "sgd_step apply_updates schritt paso passo",
    "updater": "updater optimizer trainer optim opt optimiser",
    "accuracy": "accuracy acc num_correct count_correct correct accuracy_score batch_accuracy n_correct score "
    "sparse_categorical_accuracy categorical_accuracy genauigkeit treffer exactitud acuracia",
    "evaluate_accuracy": "evaluate_accuracy evaluate test eval_accuracy evaluate_accuracy_gpu evaluate_model "
    "test_epoch validate test_accuracy eval_epoch evaluation eval_model test_loop test_model dataset_accuracy "
    "test_acc val_acc evaluer evaluar avaliar auswerten",
    "predict": "predict predictions predict_classes predict_labels predict_class classify vorhersage predecir "
    "predire prever",
    "data_iter": "data_iter batches get_batches minibatches iterate_minibatches batch_iter make_batches "
    "batch_generator load_batches create_batches iter_batches next_batch data_loader random_mini_batches lotes lots",
    "init_params": "init_params initialize_parameters initialize init_parameters initialise initialiser init "
    "init_weights initialize_params get_params make_params",
    "train_epoch": "train_epoch train_one_epoch epoch run_epoch fit_epoch one_epoch train_loop train fit "
    "train_model training train_step treinar treinar_epoca entrenar entrenar_epoca entrainer entrainer_epoque "
    "trainieren trainiere_epoche",
}
PIECES = {piece: names.split() for piece, names in PIECES.items()}
ROLES = {
    "W": "w weight weights theta w1 pesos peso poids gewichte pesi",
    "b": "b bias biases b1 sesgos sesgo vies vieses biais w0",
    "X": "x inputs input images features xs image img imgs xb x_batch batch data batch_x feature pixels z s x_train",
    "y": "y labels label target targets y_true t ys truth true yb y_batch y_gold ytrue idx index t_batch y_train",
    "out": "y_hat yhat probs p prob probabilities logits scores z o output outputs pred preds predictions y_pred q "
    "a prediction logit log_probs logp x input inputs probability ypred s zs score h log_p p_hat pr proba y_prob "
    "phat",
    "lr": "lr learning_rate eta alpha step_size rate tasa taxa taux lernrate",
    "n": "batch_size bs n m num_samples size batchsize num batch count n_samples batch_len num_examples",
    "params": "params parameters weights_and_biases ps weights",
    "grads": "grads gradients gs grad g gradient",
    "net": "net model network layer f forward linear clf classifier module predict",
    "layers": "layers nets models",
    "softmax": "softmax activation",
    "loss": "loss criterion loss_fn loss_func loss_function cross_entropy ce lossfn objective loss_f",
    "updater": "updater optimizer opt trainer optim optimiser update sgd",
    "data": "data_iter train_iter test_iter loader dataloader data_loader train_loader test_loader batches iterator "
    "iter train_data train_dataloader test_dataloader data dataset train_batches it dl train_dl valid_iter "
    "batch_iter train_set test_set val_loader val_iter test_data test_dl valid_loader minibatches lotes lots",
    "cache": "cache caches ctx saved memory",
    "dW": "dw grad_w w_grad gw dweight dweights gradw",
    "db": "db grad_b b_grad gb dbias gradb",
    "epochs": "num_epochs epochs n_epochs epoch num_epoch iterations epoch_idx num_iters n_iter num_iterations",
    "classes": "num_classes n_classes classes num_outputs k c n_class num_labels output_size n_out out_features "
    "depth output_dim out_dim",
    "features": "num_inputs num_features in_features input_size n_in n_features input_dim d num_pixels in_dim pixels",
    "reg": "reg penalty lambda lam l2 weight_decay wd lambd reg_lambda lmbda",
    "seed": "seed random_state rng_seed",
    "rng": "rng",
    "generator": "generator gen",
    "train": "train training is_train is_training",
    "device": "device",
    "args": "args cfg config hparams flags",
    "dim": "dim axis",
    "test": "test_iter test_data test_loader valid_loader val_iter val_loader",
}
ROLES = {role: set(names.split()) for role, names in ROLES.items()}
BEFORE = r"^(my|compute|calc|calculate|get|do|run|the)_"
AFTER = (
    r"_(prop|propagation|fn|func|ch3|function|np|numpy|torch|scratch|manual|batch|stable|naive|vectorized|v)$"
    r"|\(\)$|_?\d+$"
)


def plain(name: str) -> str:
    """A name without what people put before and after it: `my_softmax2` is softmax."""
    name = name.lower().strip("_")
    return name if any(name in names for names in PIECES.values()) else re.sub(AFTER, "", re.sub(BEFORE, "", name))
